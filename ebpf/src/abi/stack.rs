//! Stacks, and what is needed to walk them.

/// Deepest stack kept, in frames.
pub const MAX_FRAMES: usize = 96;
/// Executable mappings of one process that the unwinder knows.
pub const MAX_MAPPINGS: usize = 512;
/// [`Mapping::first_page`] of the page that the kernel puts into a program for its probes.
pub const PROBES_PAGE: u32 = u32::MAX;

/// How a walk up the stack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum WalkEnd {
    /// Reached the outermost function.
    Complete = 0,
    /// A return address lay in no known mapping.
    NoMapping = 1,
    /// A module without unwind rows, and no frame pointer to follow.
    NoRows = 2,
    /// An unwind rule that a row cannot express.
    Unsupported = 3,
    /// Stack memory that could not be read.
    Unreadable = 4,
    /// Deeper than [`MAX_FRAMES`].
    Truncated = 5,
    /// A return probe has put its own address into the place of the caller's.
    ReturnProbe = 6,
}

/// [`Stack::hook`] of a stack on which no function was called.
pub const NO_HOOK: u32 = u32::MAX;
/// [`Stack::process`] of stacks whose addresses are the kernel's own.
pub const KERNEL_STACK: u32 = u32::MAX;

/// What kernel mode saw allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum KernelEvent {
    /// By the page allocator.
    Pages = 0,
    /// By size.
    Kmalloc = 1,
    /// From a cache of objects of one type.
    Cache = 2,
}

/// A stack as the kernel side stored it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stack {
    /// Frames used in `address`.
    pub length: u32,
    /// The [`ProcessNumber`](super::ProcessNumber) of the process whose mappings give the addresses a meaning, or [`KERNEL_STACK`].
    pub process: u32,
    /// Heap mode: number of the hooked function that was called. Kernel mode: a [`KernelEvent`]. Else [`NO_HOOK`].
    pub hook: u32,
    /// A [`WalkEnd`].
    pub end: u8,
    /// 1: the innermost frame was interrupted where it is, and is no return address.
    pub interrupted: u8,
    /// Always 0.
    pub pad: [u8; 2],
    /// Innermost first; all are return addresses, but a signal's frame and an interrupted one.
    pub address: [u64; MAX_FRAMES],
}

/// One executable mapping of a process.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Run-time address minus the file's own virtual address.
    pub bias: u64,
    /// Index of its first entry in the page table.
    pub first_page: u32,
    /// Pages of 4 KiB that the file's virtual addresses span; 0 means anonymous memory, walked by frame pointer.
    pub page_count: u32,
}

/// The mappings of one process, sorted by start.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Used entries of `mapping`.
    pub mapping_count: u32,
    /// Always 0.
    pub pad: u32,
    /// Sorted by start.
    pub mapping: [Mapping; MAX_MAPPINGS],
    /// When this was written, by `CLOCK_MONOTONIC`: walks remembered from before are void.
    pub set_ns: u64,
}
