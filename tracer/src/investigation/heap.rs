//! Heap mode: probes on the allocator functions of each process.

use aya::maps::{MapData, RingBuf};
use leakhound_report::recording::{self, Mode};

use super::{
    InvestigationError, Plan,
    watch::{Following, Watch, capacity},
};
use crate::{
    allocator::Wanted,
    attachment::ProcessProbes,
    budget::Costs,
    calibrate::calibrate,
    followed::Followed,
    heap::Heap,
    kernel_side::{Constants, KernelSide},
    modules::Modules,
    process::ProcessId,
    rung::{FilterProof, Rung},
};

/// Heap mode at work.
pub(super) struct HeapWatch {
    heap: Heap,
    rung: Rung,
    kernel: String,
    filter_proof: FilterProof,
    costs: Costs,
}

impl HeapWatch {
    /// Loads the programs for the best way of attaching, or the one asked for.
    pub(super) fn open(
        plan: &Plan<'_>,
        ids: &[ProcessId],
        modules: &Modules,
    ) -> Result<Self, InvestigationError> {
        let settings = plan.settings;
        let rung = settings.rung.or_else(|| plan.capabilities.best_rung()).unwrap_or(Rung::PerfEvent);
        let (kernel, filter_proof) = (plan.capabilities.kernel.clone(), FilterProof::new(rung));
        ids.iter().try_for_each(|id| require_survival(*id, &filter_proof, &kernel))?;
        require_allocator(modules, &settings.allocator)?;
        // before the clock of the recording starts
        let traps = calibrate(rung)
            .map_err(|source| InvestigationError::Attach { pid: std::process::id(), source })?;
        let constants = Constants::of(settings);
        let mut heap =
            Heap::load(rung, constants, capacity(settings.capacity, modules), settings.block_log.is_some())?;
        heap.side.set_sampling(settings.sample)?;
        Ok(Self { heap, rung, kernel, filter_proof, costs: Costs::new(traps) })
    }
}

impl Watch for HeapWatch {
    fn mode(&self) -> Mode {
        Mode::Heap
    }

    fn attached_by(&self) -> &'static str {
        self.rung.name()
    }

    fn events_are(&self) -> &'static str {
        "calls and frees"
    }

    fn costs(&self) -> &Costs {
        &self.costs
    }

    fn costs_mut(&mut self) -> &mut Costs {
        &mut self.costs
    }

    fn cheaper_way(&self) -> &'static str {
        "; growth mode needs no probes"
    }

    fn take_stream(&mut self) -> Option<RingBuf<MapData>> {
        self.heap.take_stream()
    }

    fn side(&self) -> &KernelSide {
        &self.heap.side
    }

    fn side_mut(&mut self) -> &mut KernelSide {
        &mut self.heap.side
    }

    fn allocators(&self, modules: &Modules) -> Vec<recording::Allocator> {
        modules.numbers().flat_map(|number| modules.allocators(number)).collect()
    }

    fn follow(
        &mut self,
        process: &mut Followed,
        modules: &mut Modules,
        new: &[u32],
    ) -> Result<Following, InvestigationError> {
        if process.probes.sites() == 0 {
            require_survival(process.id, &self.filter_proof, &self.kernel)?;
        }
        modules.place_tables(&mut self.heap.unwind);
        let (table, mappings_left_out) = process.kernel_table(modules);
        self.heap.side.set_process(process.number.slot().into(), &table)?;
        let files: Vec<_> = new.iter().filter_map(|number| modules.sites(*number)).collect();
        let before = process.probes.sites();
        let (pid, number) = (process.id.pid, process.number);
        process
            .probes
            .attach(&self.heap.probes, &mut self.heap.side.object, &files, pid, number)
            .map_err(|source| InvestigationError::Attach { pid, source })?;
        Ok(Following { functions: process.probes.sites() - before, mappings_left_out })
    }

    fn lists_blocks(&self) -> bool {
        true
    }

    /// Its probes went with it.
    fn release(&mut self, _process: &Followed) -> Result<(), InvestigationError> {
        Ok(())
    }

    /// All allocating functions first: a block whose free nobody sees would stay live for ever.
    fn detach(&mut self, processes: &mut dyn Iterator<Item = &mut Followed>) {
        let mut freeing = Vec::new();
        for process in processes {
            process.probes.detach_calls();
            freeing.push(std::mem::take(&mut process.probes));
        }
        drop::<Vec<ProcessProbes>>(freeing);
    }
}

/// Return probes get a process killed whose seccomp filter does not know their system call.
fn require_survival(id: ProcessId, proof: &FilterProof, kernel: &str) -> Result<(), InvestigationError> {
    match proof.endangers(id) {
        Ok(false) => Ok(()),
        Ok(true) => Err(InvestigationError::Seccomp { pid: id.pid, kernel: kernel.to_owned() }),
        Err(source) => Err(InvestigationError::Attach { pid: id.pid, source }),
    }
}

fn require_allocator(modules: &Modules, wanted: &Wanted) -> Result<(), InvestigationError> {
    if modules.numbers().any(|number| modules.sites(number).is_some()) {
        return Ok(());
    }
    let all = || modules.numbers().filter_map(|number| modules.get(number));
    let looked_at: Vec<&str> = all().map(|module| &*module.image.path).collect();
    let looked_at = looked_at.join(", ");
    if wanted.is_every() {
        return Err(InvestigationError::NoAllocator { looked_at });
    }
    let others: Vec<String> = all()
        .flat_map(|module| module.unwanted.iter().map(|family| format!("{family} in {}", module.image.path)))
        .collect();
    let there = if others.is_empty() { format!("none known in {looked_at}") } else { others.join(", ") };
    Err(InvestigationError::OtherAllocators { wanted: wanted.to_string(), there })
}
