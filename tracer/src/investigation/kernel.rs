//! Kernel mode: the kernel's own allocations, of the whole machine or while it works for the target's processes.

use leakhound_report::recording::{self, Mode};

use super::{
    InvestigationError, Plan,
    watch::{Following, Watch},
};
use crate::{
    budget::{Costs, Traps},
    followed::Followed,
    kernel_memory::{KernelMemory, Scope},
    kernel_side::{Constants, KernelSide},
    kernel_symbols::KernelSymbols,
    locate::Target,
    modules::Modules,
};

/// Kernel mode at work.
pub(super) struct KernelWatch {
    memory: KernelMemory,
    scope: Scope,
    symbols: KernelSymbols,
    costs: Costs,
}

impl KernelWatch {
    /// Reads the kernel's names, then attaches to its tracepoints.
    pub(super) fn open(plan: &Plan<'_>, target: &Target) -> Result<Self, InvestigationError> {
        let symbols = KernelSymbols::read()?;
        let settings = plan.settings;
        let scope = if *target == Target::Machine { Scope::Machine } else { Scope::Targets };
        let mut memory = KernelMemory::load(scope, Constants::of(settings), settings.capacity)?;
        memory.side.set_sampling(settings.sample)?;
        Ok(Self { memory, scope, symbols, costs: Costs::new(Traps::TRACEPOINTS) })
    }
}

impl Watch for KernelWatch {
    fn mode(&self) -> Mode {
        Mode::Kernel
    }

    fn attached_by(&self) -> &'static str {
        match self.memory.bulk_frees {
            Some(_) => "kmem tracepoints and kprobes",
            None => "kmem tracepoints",
        }
    }

    fn events_are(&self) -> &'static str {
        "allocations and frees of the kernel"
    }

    fn costs(&self) -> &Costs {
        &self.costs
    }

    fn costs_mut(&mut self) -> &mut Costs {
        &mut self.costs
    }

    fn cheaper_way(&self) -> &'static str {
        match self.scope {
            Scope::Machine => "; one target in place of the machine costs less",
            Scope::Targets => "",
        }
    }

    fn walks_programs(&self) -> bool {
        false
    }

    fn kernel_symbols(&mut self) -> Option<&mut KernelSymbols> {
        Some(&mut self.symbols)
    }

    fn nested_misses(&self) -> u64 {
        self.memory.tracepoints.nested_misses()
    }

    fn side(&self) -> &KernelSide {
        &self.memory.side
    }

    fn side_mut(&mut self) -> &mut KernelSide {
        &mut self.memory.side
    }

    fn allocators(&self, _modules: &Modules) -> Vec<recording::Allocator> {
        Vec::new()
    }

    fn follow(
        &mut self,
        process: &mut Followed,
        _modules: &mut Modules,
        _new: &[u32],
    ) -> Result<Following, InvestigationError> {
        self.memory.side.set_target(process.id.pid, Some(process.number))?;
        Ok(Following::default())
    }

    fn release(&mut self, process: &Followed) -> Result<(), InvestigationError> {
        Ok(self.memory.side.set_target(process.id.pid, None)?)
    }

    fn detach(&mut self, _processes: &mut dyn Iterator<Item = &mut Followed>) {
        self.memory.tracepoints.detach();
        self.memory.bulk_frees = None;
    }
}
