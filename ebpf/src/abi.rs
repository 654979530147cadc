//! What the kernel side and the tracer agree on: `abi.h` says the same in C, and a test compares the two through BTF.

use aya::Pod;

/// Deepest stack kept, in frames.
pub const MAX_FRAMES: usize = 96;
/// Executable mappings of one process that the unwinder knows.
pub const MAX_MAPPINGS: usize = 512;
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

/// Key of a live block.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockKey {
    /// Address in the target.
    pub address: u64,
    /// A [`ProcessNumber`].
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
    /// A [`ProcessNumber`].
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
    /// The [`ProcessNumber`] of the process whose mappings give the addresses a meaning, or [`KERNEL_STACK`].
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

/// How a row finds the canonical frame address (CFA): the stack pointer before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cfa {
    /// No unwind information: try the frame pointer.
    None = 0,
    /// `rsp + offset`
    Rsp = 1,
    /// `rbp + offset`
    Rbp = 2,
    /// `rsp + 8`, and 8 more when `pc & 15 >= add`: the procedure linkage table.
    Plt = 3,
    /// `*(rsp + offset) + add`
    DerefRsp = 4,
    /// `*(rbp + offset) + add`
    DerefRbp = 5,
    /// A signal frame.
    Signal = 6,
    /// The outermost function.
    End = 7,
    /// A rule no row can express.
    Unsupported = 8,
    /// `*(rbp + offset) + add`, and the caller's rbp lies at `*rbp`: GCC's frames with a realigned stack.
    Realigned = 9,
}

/// One row of an unwind table: valid from its pc to the next row's.
///
/// Packed as `pc_low:12 | cfa:4 | cfa_offset/8:16 | rbp_offset/8:16 | add:16`.
/// `rbp` is 0 when the caller's rbp is unchanged, a positive value when it is lost, else where it was saved,
/// in bytes below the CFA as a negative offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// Address within its 4 KiB page.
    pub pc_low: u16,
    /// How to find the CFA.
    pub cfa: Cfa,
    /// Bytes added to the base register, a multiple of 8. Beyond 256 KiB only with [`Cfa::Rsp`] and [`Cfa::Rbp`], where
    /// `add` is 0 here and takes the upper bits of the packed offset.
    pub cfa_offset: i32,
    /// Where the caller's rbp was saved, relative to the CFA, a multiple of 8.
    pub rbp_offset: i32,
    /// See [`Cfa`].
    pub add: i16,
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

macro_rules! ledger {
    ($($name:ident = $number:literal, $key:literal;)*) => {
        /// Numbers of the kernel side's ledger; `abi.h` says what each one counts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "the names are the documentation, and abi.h says more")]
        pub enum Ledger { $($name = $number,)* }

        impl Ledger {
            /// All entries, in order of their number.
            pub const ALL: &[Ledger] = &[$(Ledger::$name,)*];

            /// The name under which recordings and reports show it.
            pub const fn key(self) -> &'static str {
                match self { $(Ledger::$name => $key,)* }
            }
        }
    };
}

ledger! {
    Allocations = 0, "allocations";
    Frees = 1, "frees";
    FailedAllocations = 2, "failedAllocations";
    SmallAllocations = 3, "smallAllocations";
    UnmatchedFrees = 4, "unmatchedFrees";
    NestedCalls = 5, "nestedCalls";
    MissedFrees = 6, "missedFrees";
    BlocksFull = 7, "blocksFull";
    CountersFull = 8, "countersFull";
    StacksFull = 9, "stacksFull";
    CallsFull = 10, "callsFull";
    ReturnsUnmatched = 11, "returnsUnmatched";
    WalksBusy = 12, "walksBusy";
    WalksComplete = 13, "walksComplete";
    WalksNoMapping = 14, "walksNoMapping";
    WalksNoRows = 15, "walksNoRows";
    WalksUnsupported = 16, "walksUnsupported";
    WalksUnreadable = 17, "walksUnreadable";
    WalksTruncated = 18, "walksTruncated";
    FramePointerSteps = 19, "framePointerSteps";
    ForeignEvents = 20, "foreignEvents";
    UnreadableOut = 21, "unreadableOut";
    UnsampledAllocations = 22, "unsampledAllocations";
    StreamLost = 23, "streamLost";
    FreesLost = 24, "freesLost";
    Reclaimable = 25, "reclaimable";
    OwnEvents = 26, "ownEvents";
    OverBudget = 27, "overBudget";
}

/// Length of the ledger in the kernel; the numbers above [`Ledger::ALL`] are kept free.
pub const LEDGER_LENGTH: usize = 32;

impl Row {
    /// The row as the kernel side reads it, or `None` when an offset does not fit.
    pub fn pack(self) -> Option<u64> {
        let eighths = |bytes: i32| (bytes % 8 == 0).then_some(bytes / 8);
        let cfa_offset = eighths(self.cfa_offset)?;
        let (cfa_offset, add) = match self.cfa {
            Cfa::Rsp | Cfa::Rbp => {
                let [low, next, ..] = cfa_offset.to_le_bytes();
                let low = i16::from_le_bytes([low, next]);
                (low, i16::try_from((cfa_offset - i32::from(low)) >> 16).ok()?)
            }
            _ => (i16::try_from(cfa_offset).ok()?, self.add),
        };
        let rbp_offset = i16::try_from(eighths(self.rbp_offset)?).ok()?;
        Some(
            u64::from(self.pc_low & 0xfff)
                | (self.cfa as u64) << 12
                | u64::from(cfa_offset.cast_unsigned()) << 16
                | u64::from(rbp_offset.cast_unsigned()) << 32
                | u64::from(add.cast_unsigned()) << 48,
        )
    }
}

macro_rules! pod {
    ($($name:ty),*) => { $(
        // SAFETY: repr(C), integers only, padding spelled out as fields: any bytes are a value, and no byte is uninitialized.
        #[allow(unsafe_code, reason = "aya asks for this promise before it copies a type to and from a map")]
        unsafe impl Pod for $name {}
    )* };
}
pod!(BlockKey, Block, CounterKey, Counters, Effort, EndedBlock, Stack, Mapping, Process);
