//! What an allocator function does, and whose it is: all that an attach cookie says.

/// Processes followed at once.
pub const MAX_PROCESSES: usize = 256;

/// What an allocator function does with memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// Returns the block.
    Allocate = 0,
    /// Returns an error number; the block goes through a pointer (`posix_memalign`).
    AllocateOut = 1,
    /// Old block in, new block out.
    Reallocate = 2,
    /// Stays in place and returns the new size (`xallocx`).
    Resize = 3,
    /// Gives a block back.
    Free = 4,
}

/// Which argument of an allocator function means what; arguments are numbered from 1, 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// What the function does.
    pub operation: Operation,
    /// The size in bytes, or the size of one element.
    pub size: u8,
    /// The number of elements to multiply it with.
    pub count: u8,
    /// The old block, the block to free, or where the result goes.
    pub pointer: u8,
}

impl Shape {
    /// The attach cookie by which the kernel side knows function number `hook` in a process; `stepped` says that the
    /// kernel single-steps the probed instruction.
    pub const fn cookie(self, hook: u16, stepped: bool, process: ProcessNumber) -> u64 {
        hook as u64
            | (process.0 as u64) << 32
            | (stepped as u64) << 29
            | (self.operation as u64) << 16
            | (self.size as u64) << 20
            | (self.count as u64) << 23
            | (self.pointer as u64) << 26
    }
}

/// A followed process in the kernel: its slot, and how often that slot was given away before. What a process leaves behind is
/// never taken for its successor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ProcessNumber(u32);

impl ProcessNumber {
    /// The process that got a slot after so many others; the count may wrap after 65,536 of them.
    pub const fn new(slot: u16, earlier: u16) -> Self {
        Self(slot as u32 | (earlier as u32) << 16)
    }

    /// As the kernel side names it.
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The same for the kernel side.
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// Index into the kernel's table of processes.
    pub const fn slot(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}
