//! The kernel side of Leakhound: eBPF programs compiled from C at build time, and the structures both sides share.
//!
//! ```text
//! heap.bpf.c    which stacks allocated the memory that is still live
//! forks.bpf.c   tells when a followed process forks or replaces its program
//! growth.bpf.c  which stacks made a program's memory grow, whatever allocator it has
//! kernel.bpf.c  which paths through the kernel allocated its own memory that is still live
//! probe.bpf.c   programs that only count: self-test and benchmark floor
//!   unwind.bpf.h     walks a user stack without frame pointers
//!   counters.bpf.h   live blocks, and counters by stack and cohort
//!   insert.bpf.h     takes in and out what the kernel's allocators gave out
//!   namespace.bpf.h  numbers of processes in the tracer's pid namespace
//!   target.bpf.h     which of the followed processes is running
//!   effort.bpf.h     how often programs run and for how long
//!   ration.bpf.h     how much may be followed until user space looks again
//!   ledger.bpf.h     counts what was lost and why
//!   abi.h            = src/abi/
//! ```

pub mod abi;

/// Heap mode's programs and maps, an ELF object.
pub static HEAP: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/heap.bpf.o"));

/// Programs that tell of forks, an ELF object.
pub static FORKS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/forks.bpf.o"));

/// Growth mode's programs and maps, an ELF object.
pub static GROWTH: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/growth.bpf.o"));

/// Kernel mode's programs and maps, an ELF object.
pub static KERNEL: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/kernel.bpf.o"));

/// Programs that only count, an ELF object.
pub static PROBE: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probe.bpf.o"));
