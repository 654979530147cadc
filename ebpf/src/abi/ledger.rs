//! Everything that happened out of the ordinary or was lost, by number.

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
    MachineEvents = 28, "machineEvents";
    WalksReturnProbe = 29, "walksReturnProbe";
}

/// Length of the ledger in the kernel; the numbers above [`Ledger::ALL`] are kept free.
pub const LEDGER_LENGTH: usize = 32;
