//! Live blocks, the sums over them, and what sampling makes of these.

/// Key of a live block.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockKey {
    /// Address in the target.
    pub address: u64,
    /// A [`ProcessNumber`](super::ProcessNumber).
    pub process: u32,
    /// Always 0.
    pub pad: u32,
}

/// A live block.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Block {
    /// Size asked for in bytes.
    pub size: u64,
    /// Hash of its stack.
    pub stack: u64,
    /// `CLOCK_MONOTONIC` time in nanoseconds.
    pub allocated_ns: u64,
    /// Stretch of time it was allocated in.
    pub cohort: u16,
    /// It was drawn with a period of so many bytes, as a power of two; 0: every allocation was followed.
    pub shift: u8,
    /// Always 0.
    pub pad: u8,
    /// Thread that allocated it.
    pub tid: u32,
}

/// Key of a set of counters.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CounterKey {
    /// Hash of the stack.
    pub stack: u64,
    /// Stretch of time in which the blocks were allocated.
    pub cohort: u32,
    /// Always 0.
    pub pad: u32,
}

/// A block that was freed, as the stream has it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndedBlock {
    /// Address in the target.
    pub address: u64,
    /// Size asked for in bytes.
    pub size: u64,
    /// Hash of its stack.
    pub stack: u64,
    /// `CLOCK_MONOTONIC` time in nanoseconds.
    pub allocated_ns: u64,
    /// The same.
    pub freed_ns: u64,
    /// A [`ProcessNumber`](super::ProcessNumber).
    pub process: u32,
    /// Thread that allocated it.
    pub tid: u32,
    /// Thread that freed it.
    pub freed_tid: u32,
    /// As in [`Block`].
    pub shift: u32,
}

/// Probability 1 in sampling.h.
pub const CERTAIN: u64 = 1 << 32;
/// What one block more is in [`Amounts::represented`].
pub const WEIGHT_ONE: u64 = 1 << 16;
/// Square bytes that are 1 in [`Amounts::variance`].
pub const VARIANCE_UNIT: u64 = 1 << 8;
/// Sampling periods, as powers of two in bytes: 1 KiB to 1 GiB.
pub const SAMPLE_SHIFTS: std::ops::RangeInclusive<u32> = 10..=30;

/// Sums over followed blocks; of a sample they are estimates.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amounts {
    /// Bytes.
    pub bytes: u64,
    /// Blocks really followed.
    pub count: u64,
    /// How many more blocks those stand for, in units of 1 / [`WEIGHT_ONE`].
    pub represented: u64,
    /// Variance of `bytes`, in units of [`VARIANCE_UNIT`] square bytes.
    pub variance: u64,
}

/// What one stack allocated within one cohort, and what of that was freed since.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Allocated.
    pub allocated: Amounts,
    /// Of that, freed.
    pub freed: Amounts,
}
