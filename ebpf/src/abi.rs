//! What the kernel side and the tracer agree on: `abi.h` says the same in C, and a test compares the two through BTF.

mod block;
mod effort;
mod hook;
mod ledger;
mod row;
mod stack;

use aya::Pod;

pub use block::{
    Amounts, Block, BlockKey, CERTAIN, CounterKey, Counters, EndedBlock, SAMPLE_SHIFTS, VARIANCE_UNIT,
    WEIGHT_ONE,
};
pub use effort::{Effort, EffortKind, News, ProcessNews};
pub use hook::{MAX_PROCESSES, Operation, ProcessNumber, Shape};
pub use ledger::{LEDGER_LENGTH, Ledger};
pub use row::{Cfa, Row};
pub use stack::{
    KERNEL_STACK, KernelEvent, MAX_FRAMES, MAX_MAPPINGS, Mapping, NO_HOOK, PROBES_PAGE, Process, Stack,
    WalkEnd,
};

macro_rules! pod {
    ($($name:ty),*) => { $(
        // SAFETY: repr(C), integers only, padding spelled out as fields: any bytes are a value, and no byte is uninitialized.
        #[allow(unsafe_code, reason = "aya asks for this promise before it copies a type to and from a map")]
        unsafe impl Pod for $name {}
    )* };
}
pod!(BlockKey, Block, CounterKey, Counters, Effort, EndedBlock, Stack, Mapping, Process);
