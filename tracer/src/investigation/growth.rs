//! Growth mode: pages given to the target's processes, with what they were doing. No probe is in them.

use leakhound_report::recording::{self, Mode};

use super::{
    InvestigationError, Plan,
    watch::{Following, Watch, capacity},
};
use crate::{
    followed::Followed,
    growth::Growth,
    kernel_side::{Constants, KernelSide},
    modules::Modules,
};

/// Growth mode at work.
pub(super) struct GrowthWatch(Growth);

impl GrowthWatch {
    /// Attaches to the kernel's tracepoints; nobody is followed yet.
    pub(super) fn open(plan: &Plan<'_>, modules: &Modules) -> Result<Self, InvestigationError> {
        let settings = plan.settings;
        let constants = Constants { cohort: settings.cohort(), min_size: settings.min_size };
        Ok(Self(Growth::load(constants, capacity(settings.capacity, modules))?))
    }
}

impl Watch for GrowthWatch {
    fn mode(&self) -> Mode {
        Mode::Growth
    }

    fn attached_by(&self) -> &'static str {
        "page tracepoints"
    }

    fn probe_ns(&self) -> f64 {
        self.0.tracepoints.event_ns()
    }

    fn note_events(&mut self, events: u64) {
        self.0.tracepoints.settle_cost(events);
    }

    fn nested_misses(&self) -> u64 {
        self.0.tracepoints.nested_misses()
    }

    fn side(&self) -> &KernelSide {
        &self.0.side
    }

    fn side_mut(&mut self) -> &mut KernelSide {
        &mut self.0.side
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
        modules.place_tables(&mut self.0.unwind);
        let (table, mappings_left_out) = process.kernel_table(modules);
        self.0.side.set_process(process.number.slot().into(), &table)?;
        self.0.side.set_target(process.id.pid, Some(process.number))?;
        Ok(Following { functions: 0, mappings_left_out })
    }

    fn release(&mut self, process: &Followed) -> Result<(), InvestigationError> {
        Ok(self.0.side.set_target(process.id.pid, None)?)
    }

    fn detach(&mut self, _processes: &mut dyn Iterator<Item = &mut Followed>) {
        self.0.tracepoints.detach();
    }
}
