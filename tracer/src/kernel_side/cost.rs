//! What watching costs, as the kernel side counts it, and what is set there to keep it low.

use aya::maps::{Array, MapData, PerCpuArray};
use leakhound_ebpf::abi::{Effort, EffortKind};

use super::{KernelSide, KernelSideError};
use crate::{budget::Efforts, sampling::Period};

impl KernelSide {
    /// How often the programs ran so far, and for how long.
    pub fn efforts(&self) -> Result<Efforts, KernelSideError> {
        let error = |source| KernelSideError::Map { name: "efforts", source };
        let map: PerCpuArray<&MapData, Effort> =
            PerCpuArray::try_from(self.map("efforts")?).map_err(error)?;
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

    /// Follows a sample from now on, or every allocation. Blocks keep the weight they were drawn with.
    pub fn set_sampling(&mut self, period: Option<Period>) -> Result<(), KernelSideError> {
        let shift = period.map_or(0, Period::shift);
        let error = |source| KernelSideError::Map { name: "sampling", source };
        let map = self.map_mut("sampling")?;
        Array::<_, u32>::try_from(map).and_then(|mut map| map.set(0, shift, 0)).map_err(error)
    }

    /// Sets how many allocations may be followed until the next call, which holds also while nobody is there to look; says
    /// whether the last ration was used up, so that allocations may have been left out.
    pub fn ration(&mut self, allocations: i64) -> Result<bool, KernelSideError> {
        let error = |source| KernelSideError::Map { name: "ration", source };
        let mut map = Array::<_, i64>::try_from(self.map_mut("ration")?).map_err(error)?;
        let left = map.get(&0, 0).map_err(error)?;
        map.set(0, allocations, 0).map_err(error)?;
        Ok(left <= 0)
    }
}
