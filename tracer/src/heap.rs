//! Heap mode's side of the kernel: its programs and unwind tables.

use aya::maps::{MapData, RingBuf};
use leakhound_ebpf::HEAP;

use crate::{
    kernel_side::{Constants, KernelSide, KernelSideError},
    rung::{Probes, ProgramNames, Rung},
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

    /// Where blocks come out as they end; `None` when it was taken already.
    pub fn take_stream(&mut self) -> Option<RingBuf<MapData>> {
        self.side.object.aya.take_map("ended").and_then(|map| RingBuf::try_from(map).ok())
    }
}

/// Proves that this kernel takes heap mode's programs.
pub fn prove(rung: Rung) -> Result<(), KernelSideError> {
    Heap::load(rung, Constants::SELF_TEST, Capacity::SELF_TEST, false).map(drop)
}

#[cfg(test)]
mod tests;
