//! What aya 0.14 does not offer of bpf(2): uprobe_multi and uprobe.session links, kernel functions, batched reads.
//!
//! aya creates the maps; the same object file is then parsed once more with aya-obj, its code relocated against those
//! maps, and loaded by hand. Links are never pinned: they end with the process that holds them, however it ends.

mod batch;
mod kprobe;
mod object;
mod syscall;
mod tracepoint;

pub use batch::{BatchError, read_all, read_each};
pub use kprobe::Kprobe;
pub use object::{Object, ObjectError, Sizes};
pub use syscall::{AttachType, Link, LinkError, Program, ProgramError, Site, link_uprobes};
pub use tracepoint::{OnTracepoint, TracepointError, Tracepoints};
