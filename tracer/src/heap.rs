//! Heap mode's side of the kernel: its maps as Rust sees them.

use std::{collections::BTreeMap, os::fd::BorrowedFd, time::Duration};

use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use leakhound_ebpf::{
    HEAP,
    abi::{Block, BlockKey, CounterKey, Counters, Ledger, Process, Stack},
};
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use crate::{
    bpf::{BatchError, Object, ObjectError, read_all},
    rung::{Probes, ProgramNames, Rung, RungError},
    unwind_maps::{UnwindMaps, UnwindMapsError},
};

/// Stretches of time by which blocks are told apart; 32 draw a survival curve and keep the counters few.
pub const COHORTS: u32 = 32;

/// How much the kernel side may hold. Everything is allocated at once: a map that grows at its cgroup's
/// memory limit gets its owner killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Live blocks, about 110 bytes each.
    pub blocks: u32,
    /// Pairs of stack and cohort, about 100 bytes each.
    pub counters: u32,
    /// Different stacks, about 840 bytes each.
    pub stacks: u32,
    /// Rows of unwind tables, 8 bytes each: those of the modules found, and room for libraries loaded later.
    pub rows: u32,
    /// Pages of code, 8 bytes each.
    pub pages: u32,
}

impl Default for Capacity {
    /// For a million live blocks: 145 MiB.
    fn default() -> Self {
        Self { blocks: 1_000_000, counters: 131_072, stacks: 16_384, rows: 0, pages: 0 }
    }
}

/// What the programs are compiled with at load time.
#[derive(Debug, Clone, Copy)]
pub struct Constants {
    /// Length of a cohort.
    pub cohort: Duration,
    /// Smaller allocations are not followed, bytes.
    pub min_size: u64,
}

/// The kernel side could not be set up or read.
#[derive(Debug, Error)]
pub enum HeapError {
    /// Loading.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Loading the programs of a rung.
    #[error(transparent)]
    Rung(#[from] RungError),
    /// Unwind tables.
    #[error(transparent)]
    Unwind(#[from] UnwindMapsError),
    /// Reading or writing one entry.
    #[error("cannot access the map {name}: {source}")]
    Map {
        /// Which.
        name: &'static str,
        /// aya's error.
        source: MapError,
    },
    /// Reading all entries.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

const PROGRAMS: ProgramNames = ProgramNames {
    session: "heap_session",
    entry: "heap_entry",
    at_return: "heap_return",
    free: "heap_free",
};
/// Heap mode in the kernel.
pub struct Heap {
    /// Held for the maps and for aya's own programs.
    pub object: Object,
    /// The programs, not attached yet.
    pub probes: Probes,
    /// Unwind tables of all followed processes.
    pub unwind: UnwindMaps,
    /// `CLOCK_MONOTONIC` time of the start in nanoseconds: cohorts and block times count from here.
    pub start_ns: u64,
    /// What it was loaded with, after any shrinking.
    pub capacity: Capacity,
}

impl Heap {
    /// Creates the maps and loads the programs. When memory does not suffice, fewer blocks are tried, down to 64 Ki.
    pub fn load(rung: Rung, constants: Constants, mut capacity: Capacity) -> Result<Self, HeapError> {
        const FEWEST_BLOCKS: u32 = 65_536;
        let start_ns = monotonic_ns();
        let mut object = loop {
            match load_object(constants, capacity, start_ns) {
                Err(ObjectError::Maps(error))
                    if capacity.blocks > FEWEST_BLOCKS && is_out_of_memory(&error) =>
                {
                    capacity.blocks = (capacity.blocks / 2).max(FEWEST_BLOCKS);
                }
                other => break other?,
            }
        };
        let probes = Probes::load(&mut object, PROGRAMS, rung)?;
        let unwind = UnwindMaps::new(&object, capacity.rows, capacity.pages)?;
        Ok(Self { object, probes, unwind, start_ns, capacity })
    }

    /// The mappings of the process in a slot, by which its stacks are walked from now on.
    pub fn set_process(&mut self, slot: u32, process: &Process) -> Result<(), HeapError> {
        let map = self.object.aya.map_mut("processes").ok_or_else(|| missing("processes"))?;
        let error = |source| HeapError::Map { name: "processes", source };
        Array::<_, Process>::try_from(map).and_then(|mut map| map.set(slot, process, 0)).map_err(error)
    }

    /// All counters.
    pub fn counters(&self) -> Result<Vec<(CounterKey, Counters)>, HeapError> {
        Ok(read_all(self.map("counters")?)?)
    }

    /// All live blocks.
    pub fn blocks(&self) -> Result<Vec<(BlockKey, Block)>, HeapError> {
        Ok(read_all(self.map("blocks")?)?)
    }

    /// The stack of a hash; `None` when there was no room for it.
    pub fn stack(&self, hash: u64) -> Result<Option<Stack>, HeapError> {
        let error = |source| HeapError::Map { name: "stacks", source };
        let map = self.object.aya.map("stacks").ok_or_else(|| missing("stacks"))?;
        let map: HashMap<&MapData, u64, Stack> = HashMap::try_from(map).map_err(error)?;
        match map.get(&hash, 0) {
            Ok(stack) => Ok(Some(stack)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(error(source)),
        }
    }

    /// The kernel's ledger so far.
    pub fn ledger(&self) -> Result<BTreeMap<Ledger, u64>, HeapError> {
        let error = |source| HeapError::Map { name: "ledger", source };
        let map = self.object.aya.map("ledger").ok_or_else(|| missing("ledger"))?;
        let map: PerCpuArray<&MapData, u64> = PerCpuArray::try_from(map).map_err(error)?;
        Ledger::ALL
            .iter()
            .map(|entry| Ok((*entry, map.get(&(*entry as u32), 0).map_err(error)?.iter().sum())))
            .collect()
    }

    fn map(&self, name: &'static str) -> Result<BorrowedFd<'_>, HeapError> {
        Ok(self.object.map(name)?)
    }
}

fn missing(name: &'static str) -> HeapError {
    HeapError::Object(ObjectError::Missing(name.into()))
}

fn load_object(constants: Constants, capacity: Capacity, start_ns: u64) -> Result<Object, ObjectError> {
    let cohort_ns = u64::try_from(constants.cohort.as_nanos()).unwrap_or(u64::MAX).max(1);
    Object::load(
        HEAP,
        &[
            ("start_ns", &start_ns.to_ne_bytes()),
            ("cohort_ns", &cohort_ns.to_ne_bytes()),
            ("last_cohort", &(COHORTS - 1).to_ne_bytes()),
            ("min_size", &constants.min_size.to_ne_bytes()),
        ],
        &[
            ("blocks", capacity.blocks),
            ("counters", capacity.counters),
            ("stacks", capacity.stacks),
            ("rows", capacity.rows.max(1)),
            ("pages", capacity.pages.max(1)),
        ],
    )
}

fn is_out_of_memory(error: &aya::EbpfError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.raw_os_error() == Some(libc::ENOMEM);
        }
        cause = error.source();
    }
    false
}

/// `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests;
