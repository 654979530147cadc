//! What was found, short enough for a status: the whole of it is in the report.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer about a whole target, never stronger than the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Stacks lose memory steadily, and explain the growth.
    LeakLikely,
    /// Memory grows, and the stacks seen do not explain it.
    GrowthUnexplained,
    /// The program has freed the memory, its allocator keeps it.
    AllocatorRetention,
    /// Memory grows outside of the heap.
    OffHeapGrowth,
    /// Nothing grows that should not.
    NoLeakObserved,
    /// Too short, too noisy, or too much was lost to say.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, out)
    }
}

#[cfg(feature = "report")]
impl From<leakhound_report::analysis::VerdictName> for Verdict {
    fn from(name: leakhound_report::analysis::VerdictName) -> Self {
        use leakhound_report::analysis::VerdictName;
        match name {
            VerdictName::LeakLikely => Self::LeakLikely,
            VerdictName::GrowthUnexplained => Self::GrowthUnexplained,
            VerdictName::AllocatorRetention => Self::AllocatorRetention,
            VerdictName::OffHeapGrowth => Self::OffHeapGrowth,
            VerdictName::NoLeakObserved => Self::NoLeakObserved,
            VerdictName::Inconclusive => Self::Inconclusive,
        }
    }
}

/// One call stack and what became of the memory that it allocated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Place in the order of importance, from 1.
    pub rank: i32,
    /// Pod in which it was seen; absent where several were watched and all have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod_name: Option<String>,
    /// How it grows: Leak or Suspected; stacks of other classes are in the report alone.
    #[schemars(length(max = 32))]
    pub class: String,
    /// How sure that is, in percent.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub confidence_percent: i32,
    /// Bytes allocated and not freed since the probes went on.
    #[serde(default)]
    pub outstanding_bytes: i64,
    /// Blocks allocated and not freed since the probes went on.
    #[serde(default)]
    pub outstanding_count: i64,
    /// How fast that grows, in bytes an hour.
    #[serde(default)]
    pub growth_bytes_per_hour: i64,
    /// Age of the oldest block, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_age_seconds: Option<i64>,
    /// The same for the same calls in other replicas, other runs and other builds of the program.
    #[serde(default, rename = "stackID", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub stack_id: String,
    /// The stack, innermost call of the program's own first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24), extend("x-kubernetes-list-type" = "atomic"))]
    pub frames: Vec<Frame>,
    /// Frames that are left out here.
    #[serde(default)]
    pub frames_omitted: i32,
}

impl Finding {
    /// Leaves out all but the innermost `wanted` frames, and counts them.
    pub fn keep_frames(&mut self, wanted: usize) {
        let dropped = self.frames.len().saturating_sub(wanted);
        self.frames.truncate(wanted);
        self.frames_omitted += i32::try_from(dropped).unwrap_or(i32::MAX);
    }
}

/// One call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Frame {
    /// Function, demangled; empty where no symbol is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub function: String,
    /// File that the code was mapped from, without its folder.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub module: String,
    /// Source file.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub file: String,
    /// Line in the source file, from 1; absent where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i32>,
}
