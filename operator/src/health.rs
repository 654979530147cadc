//! Whether the operator can do its work, and what it waits for otherwise.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
};

/// The state of every part that can keep the operator from its work. Cheap to clone; all clones are one.
#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<Mutex<BTreeMap<Part, Option<String>>>>);

/// Something without which nothing works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The CRDs in the cluster know every field that we write.
    Definitions,
    /// The store takes, gives and forgets objects.
    Store,
    /// There is a certificate to serve.
    Certificate,
    /// The watches have listed everything once, or another replica leads.
    Watches,
}

impl Default for Health {
    fn default() -> Self {
        let parts = [Part::Definitions, Part::Store, Part::Certificate, Part::Watches];
        let unknown = || Some("not checked yet".to_owned());
        Self(Arc::new(Mutex::new(parts.into_iter().map(|part| (part, unknown())).collect())))
    }
}

impl Health {
    /// A part works.
    pub(crate) fn well(&self, part: Part) {
        self.set(part, None);
    }

    /// A part does not work; `why` says what to do.
    pub(crate) fn ill(&self, part: Part, why: impl Into<String>) {
        self.set(part, Some(why.into()));
    }

    fn set(&self, part: Part, problem: Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, problem);
    }

    /// What does not work; nothing when all is well.
    pub(crate) fn problems(&self) -> String {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (part, problem) in parts.iter() {
            if let Some(problem) = problem {
                let _ = writeln!(text, "{part:?}: {problem}");
            }
        }
        text
    }
}
