//! The recording, `leakhound/1`: everything one investigation saw, in one file, enough to analyze it again elsewhere.
//!
//! On disk it is zstd-compressed JSON Lines, one [`Record`] a line, one flushed frame per snapshot: a killed
//! tracer leaves a readable prefix, `zstdcat | jq` reads it, and old readers skip kinds they do not know.
//!
//! ```text
//! header  module* stack*  snapshot   stack* snapshot ...   event*   end
//! ```
//!
//! Times are nanoseconds since the start of the run; the header holds the one wall-clock anchor. Sizes are bytes.

mod assemble;
mod header;
mod history;
mod reader;
mod skipped;
mod thin;
mod writer;

use std::collections::BTreeMap;

pub use assemble::{NoHeader, Recording};
pub use header::{Allocator, Header, Host, Mode, Pod, Settings, Source, Target};
pub use history::History;
pub(crate) use reader::describe_foreign;
pub use reader::{Limits, ReadError, is_recording, read, read_within};
use serde::{Deserialize, Serialize};
pub use skipped::{Skip, Skipped};
pub(crate) use thin::take_over;
pub use writer::Writer;

/// The value of [`Header::format`] that this version writes and reads.
pub const FORMAT: &str = "leakhound/1";

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
#[allow(clippy::large_enum_variant, reason = "the large one is there once in a recording")]
pub enum Record {
    /// Always first: what was asked, of whom, and how it was measured.
    Header(Header),
    /// A file mapped by a target; stacks name it by id.
    Module(Module),
    /// A call stack, written before the first snapshot that counts it.
    Stack(Stack),
    /// The counters at one moment.
    Snapshot(Snapshot),
    /// Something that happened between snapshots.
    Event(Event),
    /// Always last of a run that ended by itself; its absence means the file was cut off.
    End(End),
}

/// A file mapped by a target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Module {
    /// Number by which frames name it.
    pub id: u32,
    /// Path as the target sees it.
    pub path: String,
    /// GNU build id in lower-case hex, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
}

/// A call stack, innermost frame first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stack {
    /// Number by which snapshots name it.
    pub id: u32,
    /// Innermost first. Allocator frames come first and are marked; inlined frames precede the frame they are in.
    pub frames: Vec<Frame>,
    /// Why the walk ended before the outermost function; absent when it got there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_short: Option<String>,
}

/// One frame of a stack. What is not known is absent, never guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Frame {
    /// Demangled function name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Id of the [`Module`] it lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<u32>,
    /// Source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Source line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Offset in the module's file; the raw address when there is no module.
    pub address: u64,
    /// A call that the compiler inlined into the next frame.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// A function of the allocator itself (malloc, operator new, Rust's __rust_alloc ...), hidden unless asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allocator: bool,
}

/// The counters at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// Nanoseconds since the start.
    pub time_ns: u64,
    /// The target's processes as the kernel accounts them.
    pub processes: Vec<Process>,
    /// Memory charged to the target's cgroup in bytes, when it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_bytes: Option<u64>,
    /// Only the stacks whose counters changed since the snapshot before.
    pub stacks: Vec<StackCounters>,
    /// Every loss and every count of the tracer so far, by name (camelCase). All values only grow.
    pub ledger: BTreeMap<String, u64>,
}

/// One process as the kernel accounts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Process id in our pid namespace.
    pub pid: u32,
    /// Resident set size in bytes.
    pub rss_bytes: u64,
    /// Anonymous part of it: heap, stacks, private writable pages.
    pub anonymous_bytes: u64,
    /// Swapped-out bytes.
    pub swap_bytes: u64,
    /// CPU time used since the process started.
    pub cpu_ns: u64,
    /// Threads alive.
    pub threads: u32,
}

/// The counters of one stack since the probes went on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StackCounters {
    /// Id of the [`Stack`].
    pub id: u32,
    /// Bytes allocated and not freed.
    pub live_bytes: u64,
    /// Blocks allocated and not freed.
    pub live_count: u64,
    /// Standard error of `live_bytes`, when they were estimated from a sample; 0 when every block was followed.
    #[serde(skip_serializing_if = "is_zero")]
    pub live_error_bytes: u64,
    /// Bytes allocated so far.
    pub allocated_bytes: u64,
    /// Blocks allocated so far.
    pub allocated_count: u64,
    /// Blocks whose free was not seen: their address was given out again. There may be more, still counted as live.
    #[serde(skip_serializing_if = "is_zero")]
    pub missed_frees: u64,
    /// Live bytes by cohort; cohorts absent here keep their last value, 0 if never seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is still live of the blocks that one stack allocated in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cohort {
    /// Number of the stretch: it began at `number * settings.cohort_ns`.
    pub number: u32,
    /// Bytes allocated in it.
    pub allocated_bytes: u64,
    /// Bytes of it still live.
    pub live_bytes: u64,
}

/// Something that happened between snapshots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Nanoseconds since the start.
    pub time_ns: u64,
    /// Which process it concerns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<u32>,
    /// What happened.
    pub what: EventKind,
    /// For a person: what it means for the numbers.
    #[serde(default)]
    pub detail: String,
}

/// What can happen between snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum EventKind {
    /// Probes went on in a process.
    Attached,
    /// Probes came off.
    Detached,
    /// A process ended.
    Exited,
    /// A process replaced its program: its blocks are gone.
    Executed,
    /// A new process of the target was found.
    ProcessFound,
    /// A new allocator was found (dlopen).
    AllocatorFound,
    /// The kernel killed a process of the target for lack of memory.
    OutOfMemory,
    /// The tracer lowered its own cost.
    BudgetStep,
    /// Time passed that was not watched, or numbers were lost.
    Gap,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

/// How the run ended, and what it cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct End {
    /// Nanoseconds since the start.
    pub time_ns: u64,
    /// `duration`, `stopped`, `targetExited`, `budget` or `failed`.
    pub reason: String,
    /// How a program ended that was started to be watched: `exit status 3`, `signal SIGSEGV`. Absent when it did not end by
    /// itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_with: Option<String>,
    /// What the investigation cost.
    pub overhead: Overhead,
    /// The oldest live blocks of the stacks with the most live bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocks: Vec<Block>,
}

/// What the investigation cost the target.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overhead {
    /// Time to put all probes on.
    pub attach_ns: u64,
    /// Time to take them off.
    pub detach_ns: u64,
    /// Times a probe ran.
    pub events: u64,
    /// Mean cost of one event to the target in nanoseconds: traps, measured on a process of our own at attach, and the
    /// probes' programs, measured as they ran.
    pub probe_ns: f64,
    /// What the target itself used before the probes went on, in seconds of one core per second; absent when that was not
    /// long enough to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_before: Option<f64>,
    /// The same while they were on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_during: Option<f64>,
    /// The same after they came off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_after: Option<f64>,
}

/// One live block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Block {
    /// Id of the [`Stack`] that allocated it.
    pub stack: u32,
    /// Address in the target.
    pub address: u64,
    /// Size asked for in bytes.
    pub size_bytes: u64,
    /// When it was allocated, nanoseconds since the start.
    pub allocated_ns: u64,
    /// Process.
    pub pid: u32,
    /// Thread that allocated it.
    pub tid: u32,
}
