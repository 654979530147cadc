//! The first record: what was asked, of whom, where, and how it was measured.

use serde::{Deserialize, Serialize};

/// Who produced the numbers: decides what can be trusted about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Our own tracer.
    #[default]
    Leakhound,
    /// A text log of bcc's `memleak.py`.
    MemleakBcc,
    /// A text log of libbpf-tools' `memleak`.
    MemleakLibbpf,
}

/// What was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Allocator functions of user space.
    #[default]
    Heap,
    /// Page faults, brk and mmap: memory growing, without frees.
    Growth,
    /// The kernel's own allocators.
    Kernel,
}

/// What was asked, of whom, and how it was measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Header {
    /// [`FORMAT`](super::FORMAT).
    pub format: String,
    /// Who produced the numbers.
    pub source: Source,
    /// What was watched.
    pub mode: Mode,
    /// Wall-clock time of the start, milliseconds since the Unix epoch; absent when the source has no date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_unix_ms: Option<u64>,
    /// Whom we watched.
    pub target: Target,
    /// How we were asked to watch.
    pub settings: Settings,
    /// The machine.
    pub host: Host,
    /// The allocators found, with what is hooked in each; more may follow as [`EventKind::AllocatorFound`](super::EventKind::AllocatorFound).
    pub allocators: Vec<Allocator>,
}

/// Whom we watched.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Target {
    /// Processes as numbered in our own pid namespace.
    pub pids: Vec<u32>,
    /// Command line of the first process.
    pub command: String,
    /// The tracer started it: asking again means starting it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub launched: bool,
    /// Container id, when one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The container as its cluster calls it. A tracer knows only its id: the operator says it when it takes a recording in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// Memory limit of the target's cgroup in bytes, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
}

/// A container of a pod, by the names that `kubectl` takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pod {
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub name: String,
    /// The container in it.
    pub container: String,
}

/// How we were asked to watch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Length asked for.
    pub duration_ns: u64,
    /// Time between snapshots.
    pub interval_ns: u64,
    /// Allocations smaller than this were not followed; 0 follows all.
    pub min_size_bytes: u64,
    /// Mean bytes between two samples; 0 follows every allocation.
    pub sample_period_bytes: u64,
    /// Length of one cohort: blocks allocated within the same cohort are counted together.
    pub cohort_ns: u64,
}

/// The machine and the tracer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Host {
    /// Kernel release, as in `uname -r`.
    pub kernel: String,
    /// Machine architecture, as in `uname -m`.
    pub architecture: String,
    /// Version of the program that recorded.
    pub version: String,
    /// How the probes were attached: `uprobe.session`, `uprobe_multi` or `perf-event`.
    pub attach: String,
}

/// One allocator in one module and the functions hooked there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Allocator {
    /// Family: `glibc`, `musl`, `jemalloc`, `mimalloc`, `tcmalloc`, or `unknown` for plain malloc symbols elsewhere.
    pub family: String,
    /// Path of the module as the target sees it.
    pub module: String,
    /// Names of the hooked functions.
    pub functions: Vec<String>,
}
