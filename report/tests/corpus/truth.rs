//! What a perfect tool would say of each planted program: `examples/corpus/truth.toml`, which explains its own fields.

use std::collections::BTreeMap;

use leakhound_report::analysis::{Class, VerdictName};
use serde::Deserialize;

/// All cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Truth {
    #[serde(rename = "case")]
    pub(crate) cases: Vec<Case>,
}

/// One program, run in one way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) program: String,
    pub(crate) build: Build,
    pub(crate) args: Vec<String>,
    #[serde(default = "default_seconds")]
    pub(crate) seconds: u64,
    #[allow(dead_code, reason = "a recording does not say how old its target was")]
    pub(crate) attach: Option<u64>,
    pub(crate) verdict: Vec<VerdictName>,
    #[serde(default)]
    pub(crate) leaks: Vec<String>,
    #[serde(default)]
    pub(crate) classes: BTreeMap<String, Vec<Class>>,
    #[serde(default)]
    pub(crate) unsure: Vec<String>,
}

fn default_seconds() -> u64 {
    16
}

/// Language and allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Build {
    Glibc,
    Musl,
    MuslStatic,
    Jemalloc,
    JemallocPreload,
    Rust,
    RustJemalloc,
}

impl Build {
    /// The family of the allocator that serves the program.
    #[allow(dead_code, reason = "the scoring has no need of it")]
    pub(crate) fn allocator(self) -> &'static str {
        match self {
            Self::Glibc | Self::Rust => "glibc",
            Self::Musl | Self::MuslStatic => "musl",
            Self::Jemalloc | Self::JemallocPreload | Self::RustJemalloc => "jemalloc",
        }
    }
}

impl Truth {
    /// Reads the truth; every case needs a verdict and a name of its own.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let truth: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut names: Vec<_> = truth.cases.iter().map(|case| &case.name).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() != truth.cases.len() || truth.cases.iter().any(|case| case.verdict.is_empty()) {
            return Err("truth.toml: two cases share a name, or a case has no verdict".to_owned());
        }
        Ok(truth)
    }
}
