//! What an investigation needs to know of a mode: the only place where modes differ.

use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use leakhound_report::recording::{self, Mode};

use super::{InvestigationError, Plan, growth::GrowthWatch, heap::HeapWatch, kernel::KernelWatch};
use crate::{
    budget::{Costs, Spending},
    followed::Followed,
    kernel_side::KernelSide,
    kernel_symbols::KernelSymbols,
    locate::Target,
    modules::Modules,
    process::ProcessId,
    sampling::Period,
    settings::Capacity,
};

/// One mode at work. Its probes come off when it is dropped, and so do those that it left with a process when that is.
pub(super) trait Watch {
    /// Which mode.
    fn mode(&self) -> Mode;

    /// How it sees what happens, for the recording's header.
    fn attached_by(&self) -> &'static str;

    /// What its events are called, of which each costs something.
    fn events_are(&self) -> &'static str;

    /// What these cost.
    fn costs(&self) -> &Costs;

    /// The same, to add to it.
    fn costs_mut(&mut self) -> &mut Costs;

    /// Where blocks come out as they end; `None` in modes that cannot tell.
    fn take_stream(&mut self) -> Option<RingBuf<MapData>> {
        None
    }

    /// What it cost since it was last asked, `passed` ago.
    fn spend(&mut self, passed: Duration) -> Result<Spending, InvestigationError> {
        let efforts = self.side().efforts()?;
        Ok(self.costs_mut().spend(efforts, passed))
    }

    /// Whether it can do with a sample of the allocations.
    fn may_sample(&self) -> bool {
        true
    }

    /// Follows only a sample from now on, to cost less.
    fn sample(&mut self, period: Period) -> Result<(), InvestigationError> {
        Ok(self.side_mut().set_sampling(Some(period))?)
    }

    /// What else a user can do who finds it too dear, for the end of a sentence.
    fn cheaper_way(&self) -> &'static str {
        ""
    }

    /// Whether it walks stacks of programs, so that it needs their files.
    fn walks_programs(&self) -> bool {
        true
    }

    /// The names of the kernel's functions, where its stacks are the kernel's.
    fn kernel_symbols(&mut self) -> Option<&mut KernelSymbols> {
        None
    }

    /// Whether its blocks are those of one process, by addresses that mean something to the program's author.
    fn lists_blocks(&self) -> bool {
        false
    }

    /// How often a program could not run because it was running already on that CPU.
    fn nested_misses(&self) -> u64 {
        0
    }

    /// Its counters, stacks, blocks and ledger.
    fn side(&self) -> &KernelSide;

    /// The same, to make room in it.
    fn side_mut(&mut self) -> &mut KernelSide;

    /// The allocators that it hooks among the modules, for the recording's header.
    fn allocators(&self, modules: &Modules) -> Vec<recording::Allocator>;

    /// Begins with a process, or goes on with one that has mapped something since: `new` are the modules that it did not
    /// have before.
    fn follow(
        &mut self,
        process: &mut Followed,
        modules: &mut Modules,
        new: &[u32],
    ) -> Result<Following, InvestigationError>;

    /// Lets go of a process that has ended or replaced its program.
    fn release(&mut self, process: &Followed) -> Result<(), InvestigationError>;

    /// Takes all probes off. The kernel side can still be read.
    fn detach(&mut self, processes: &mut dyn Iterator<Item = &mut Followed>);
}

/// What came of following a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Following {
    /// Functions that were probed now.
    pub(super) functions: usize,
    /// Executable mappings that found no room in the kernel's table.
    pub(super) mappings_left_out: usize,
}

/// Sets up the kernel side of the mode asked for; it follows nobody yet. `ids` are the target's processes now, `modules` what
/// they have mapped.
pub(super) fn open(
    plan: &Plan<'_>,
    target: &Target,
    ids: &[ProcessId],
    modules: &Modules,
) -> Result<Box<dyn Watch>, InvestigationError> {
    Ok(match plan.settings.mode {
        Mode::Heap => Box::new(HeapWatch::open(plan, ids, modules)?),
        Mode::Growth => Box::new(GrowthWatch::open(plan, modules)?),
        Mode::Kernel => Box::new(KernelWatch::open(plan, target)?),
    })
}

/// What is asked for, with room for the unwind tables of the modules, and of libraries loaded later: 4 MiB, a large C++
/// library's worth.
pub(super) fn capacity(asked: Capacity, modules: &Modules) -> Capacity {
    const SPARE_ROWS: usize = 400_000;
    const SPARE_PAGES: usize = 20_000;
    let (rows, pages) = modules.table_size();
    let entries = |wanted: usize, spare: usize| u32::try_from(wanted + spare).unwrap_or(u32::MAX);
    Capacity { rows: entries(rows, SPARE_ROWS), pages: entries(pages, SPARE_PAGES), ..asked }
}
