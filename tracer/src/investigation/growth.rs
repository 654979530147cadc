//! Growth mode: pages given to the target's processes, with what they were doing. No probe is in them.

use leakhound_report::recording::{self, Mode};

use super::{
    InvestigationError, Plan,
    watch::{Following, Watch, capacity},
};
use crate::{
    budget::{Costs, Traps},
    followed::Followed,
    growth::Growth,
    kernel_side::{Constants, KernelSide},
    modules::Modules,
};

/// Growth mode at work.
pub(super) struct GrowthWatch {
    growth: Growth,
    costs: Costs,
}

impl GrowthWatch {
    /// Attaches to the kernel's tracepoints; nobody is followed yet.
    pub(super) fn open(plan: &Plan<'_>, modules: &Modules) -> Result<Self, InvestigationError> {
        let settings = plan.settings;
        let growth = Growth::load(Constants::of(settings), capacity(settings.capacity, modules))?;
        Ok(Self { growth, costs: Costs::new(Traps::TRACEPOINTS) })
    }
}

impl Watch for GrowthWatch {
    fn mode(&self) -> Mode {
        Mode::Growth
    }

    fn attached_by(&self) -> &'static str {
        "page tracepoints"
    }

    fn events_are(&self) -> &'static str {
        "pages taken or given back"
    }

    fn costs(&self) -> &Costs {
        &self.costs
    }

    fn costs_mut(&mut self) -> &mut Costs {
        &mut self.costs
    }

    /// A page is the smallest thing that it knows.
    fn may_sample(&self) -> bool {
        false
    }

    fn nested_misses(&self) -> u64 {
        self.growth.tracepoints.nested_misses()
    }

    fn side(&self) -> &KernelSide {
        &self.growth.side
    }

    fn side_mut(&mut self) -> &mut KernelSide {
        &mut self.growth.side
    }

    fn allocators(&self, _modules: &Modules) -> Vec<recording::Allocator> {
        Vec::new()
    }

    fn follow(
        &mut self,
        process: &mut Followed,
        modules: &mut Modules,
        _new: &[u32],
    ) -> Result<Following, InvestigationError> {
        modules.place_tables(&mut self.growth.unwind);
        let (table, mappings_left_out) = process.kernel_table(modules);
        self.growth.side.set_process(process.number.slot().into(), &table)?;
        self.growth.side.set_target(process.id.pid, Some(process.number))?;
        Ok(Following { functions: 0, mappings_left_out })
    }

    fn release(&mut self, process: &Followed) -> Result<(), InvestigationError> {
        Ok(self.growth.side.set_target(process.id.pid, None)?)
    }

    fn detach(&mut self, _processes: &mut dyn Iterator<Item = &mut Followed>) {
        self.growth.tracepoints.detach();
    }
}
