//! One investigation, from the first look at the target to the last record.
//!
//! ```text
//! locate -> modules (allocators, unwind tables) -> watch (a mode's kernel side) -> attach -> snapshot ... snapshot -> detach
//! ```
//!
//! Guarantees: probes come off on every way out, because links end with the values that hold them; what the sink was given
//! is a readable recording even when the run fails. A target that we did not start is never signalled.

mod cycle;
mod ending;
mod flow;
mod growth;
mod header;
mod heap;
mod kernel;
mod leaving;
mod ledger;
mod pace;
mod processor;
mod refresh;
mod retreat;
mod snapshot;
mod spending;
mod wait;
mod watch;

use std::{io, sync::atomic::AtomicBool, time::Duration};

use leakhound_report::recording::Record;
use thiserror::Error;

use crate::{
    block_stream::BlockStreamError,
    budget::Budget,
    capabilities::Capabilities,
    kernel_side::KernelSideError,
    kernel_symbols::KernelSymbolsError,
    launch::{LaunchError, Launched},
    locate::{LocateError, Target},
    rung::RungError,
    sampling::Period,
    settings::Settings,
};

pub use flow::investigate;

/// Whom to investigate.
#[derive(Debug)]
pub enum Subject {
    /// What runs already.
    Running(Target),
    /// A program that we started, waiting at its entry point.
    Launched(Launched),
}

/// What a person may want to see while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Since the probes went on.
    pub elapsed: Duration,
    /// Snapshots taken.
    pub snapshots: usize,
    /// Bytes allocated and not freed.
    pub live_bytes: u64,
    /// Blocks allocated and not freed.
    pub live_count: u64,
    /// Calls and frees per second, lately.
    pub events_per_second: f64,
    /// What they cost the target, lately, in seconds of one core per second.
    pub share_of_core: f64,
    /// What they may cost.
    pub budget: Option<Budget>,
    /// The present period of sampling; `None` while every allocation is followed.
    pub sample_period: Option<Period>,
}

/// Where an investigation reports to, and who may end it early.
pub struct Observer<'a> {
    /// Takes every record in order.
    pub record: &'a mut dyn FnMut(&Record) -> io::Result<()>,
    /// Called a few times a second.
    pub progress: &'a mut dyn FnMut(&Progress),
    /// Set to end early, with a full result.
    pub stop: &'a AtomicBool,
}

/// What an investigation is made with.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What the user chose.
    pub settings: &'a Settings,
    /// What the machine allows.
    pub capabilities: &'a Capabilities,
    /// The user's own name for the target's container, when one was named.
    pub container: Option<String>,
}

/// Why an investigation failed. What it had recorded until then is with the observer.
#[derive(Debug, Error)]
pub enum InvestigationError {
    /// None of the target's files has an allocator we know.
    #[error(
        "no known allocator in {looked_at}: what a program allocates by means of its own cannot be followed by its functions; use --mode growth, which watches its memory grow from outside"
    )]
    NoAllocator {
        /// The files.
        looked_at: String,
    },
    /// Not the allocator that was asked for.
    #[error("the program has no {wanted}; of allocators it has {there}")]
    OtherAllocators {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// A seccomp filter on a kernel whose return probes make system calls in the target.
    #[error(
        "process {pid} runs under a seccomp filter, and kernel {kernel} gets such programs killed by return probes (tried on a process of our own): use a kernel before 6.11 or from 6.14 on"
    )]
    Seccomp {
        /// The process.
        pid: u32,
        /// The kernel.
        kernel: String,
    },
    /// Nothing works here.
    #[error("{0}")]
    Obstacle(String),
    /// The target.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The program we started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// Names of the kernel's functions.
    #[error(transparent)]
    KernelSymbols(#[from] KernelSymbolsError),
    /// A mode that needs processes, without any.
    #[error("only kernel mode can watch the whole machine: name a process, a container or a command")]
    NoProcesses,
    /// The kernel side.
    #[error(transparent)]
    KernelSide(#[from] KernelSideError),
    /// Attaching.
    #[error("cannot probe process {pid}")]
    Attach {
        /// The process.
        pid: u32,
        /// What failed.
        source: RungError,
    },
    /// The log of single blocks is incomplete; everything else is whole.
    #[error(transparent)]
    BlockLog(#[from] BlockStreamError),
    /// A log of single blocks was asked for in a mode that does not see their end.
    #[error("--events needs heap mode, in which every block is seen being freed")]
    NoBlocks,
    /// The recording could not be taken.
    #[error("cannot write the recording")]
    Sink(#[source] io::Error),
    /// The program we started could not be ended.
    #[error("cannot end the program that was started")]
    Stop(#[source] io::Error),
    /// Every process was gone before the probes were on.
    #[error("the target ended before the probes were on")]
    Gone,
}
