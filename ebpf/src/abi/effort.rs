//! How often programs run, and what happens to processes.

/// A kind of program run; the numbers of `enum effort_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum EffortKind {
    /// An allocating function was called, or an allocation was seen at a tracepoint.
    Call = 0,
    /// The function returned, or what was seen is followed.
    Return = 1,
    /// A block was freed.
    Free = 2,
    /// [`Self::Call`] where the kernel single-steps the probed instruction.
    SteppedCall = 4,
    /// [`Self::Free`] where it does.
    SteppedFree = 6,
}

impl EffortKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Call, Self::Return, Self::Free, Self::SteppedCall, Self::SteppedFree];
}

/// How often programs of a kind ran, and how long.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Effort {
    /// Runs.
    pub runs: u64,
    /// Runs of which the length was taken.
    pub timed: u64,
    /// Their length in nanoseconds, without the trap.
    pub timed_ns: u64,
}

/// What happened to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum News {
    /// A followed process has a new child.
    Forked = 0,
    /// A followed process replaced its program.
    Executed = 1,
}

/// What happened, to whom.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessNews {
    /// A [`News`].
    pub what: u32,
    /// The child, or the process itself, in the tracer's pid namespace; 0 when it has no number there.
    pub number: u32,
}
