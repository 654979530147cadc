//! Heap mode's side of the kernel: its programs and unwind tables.

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use leakhound_ebpf::{
    HEAP,
    abi::{Effort, EffortKind},
};

use crate::{
    budget::Efforts,
    kernel_side::{Constants, KernelSide, KernelSideError},
    rung::{Probes, ProgramNames, Rung},
    sampling::Period,
    settings::Capacity,
    unwind_maps::UnwindMaps,
};

const PROGRAMS: ProgramNames = ProgramNames {
    session: "heap_session",
    entry: "heap_entry",
    at_return: "heap_return",
    free: "heap_free",
};

/// Heap mode in the kernel.
pub struct Heap {
    /// Its maps.
    pub side: KernelSide,
    /// The programs, not attached yet.
    pub probes: Probes,
    /// Unwind tables of all followed processes.
    pub unwind: UnwindMaps,
    /// What it was loaded with, after any shrinking.
    pub capacity: Capacity,
}

impl Heap {
    /// Creates the maps and loads the programs. `stream` hands out every block that ends: see [`Self::take_stream`].
    pub fn load(
        rung: Rung,
        constants: Constants,
        capacity: Capacity,
        stream: bool,
    ) -> Result<Self, KernelSideError> {
        let (mut side, capacity) = KernelSide::load(
            HEAP,
            constants,
            &[("stream_blocks", &u32::from(stream).to_ne_bytes())],
            capacity,
        )?;
        let probes = Probes::load(&mut side.object, PROGRAMS, rung)?;
        let unwind = UnwindMaps::new(&side.object, capacity.rows, capacity.pages)?;
        Ok(Self { side, probes, unwind, capacity })
    }

    /// Follows a sample from now on, or every allocation. Blocks keep the weight they were drawn with.
    pub fn set_sampling(&mut self, period: Option<Period>) -> Result<(), KernelSideError> {
        let shift = period.map_or(0, Period::shift);
        let error = |source| KernelSideError::Map { name: "sampling", source };
        let map = self.side.map_mut("sampling")?;
        Array::<_, u32>::try_from(map).and_then(|mut map| map.set(0, shift, 0)).map_err(error)
    }

    /// Where blocks come out as they end; `None` when it was taken already.
    pub fn take_stream(&mut self) -> Option<RingBuf<MapData>> {
        self.side.object.aya.take_map("ended").and_then(|map| RingBuf::try_from(map).ok())
    }

    /// How often the programs ran so far, and for how long.
    pub fn efforts(&self) -> Result<Efforts, KernelSideError> {
        let error = |source| KernelSideError::Map { name: "efforts", source };
        let map: PerCpuArray<&MapData, Effort> =
            PerCpuArray::try_from(self.side.map("efforts")?).map_err(error)?;
        let mut of_kinds = [Effort::default(); EffortKind::ALL.len()];
        for (kind, sum) in EffortKind::ALL.into_iter().zip(&mut of_kinds) {
            for cpu in map.get(&(kind as u32), 0).map_err(error)?.iter() {
                sum.runs += cpu.runs;
                sum.timed += cpu.timed;
                sum.timed_ns += cpu.timed_ns;
            }
        }
        Ok(Efforts::new(of_kinds))
    }
}

#[cfg(test)]
mod tests;
