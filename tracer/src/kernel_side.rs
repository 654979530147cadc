//! What every mode keeps in the kernel, as Rust sees it: counters by stack and cohort, the stacks, the live blocks, the
//! processes' mappings, and the ledger.

mod cost;

use std::{
    collections::BTreeMap,
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
    time::Duration,
};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use leakhound_ebpf::abi::{Block, BlockKey, CounterKey, Counters, Ledger, Process, ProcessNumber, Stack};
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use crate::{
    bpf::{BatchError, Object, ObjectError, TracepointError, read_all, read_each},
    rung::RungError,
    settings::{COHORTS, Capacity, Settings},
    unwind_maps::UnwindMapsError,
};

/// The maps of one mode's programs.
pub struct KernelSide {
    /// Held for the maps and for aya's own programs.
    pub object: Object,
    /// `CLOCK_MONOTONIC` time of the start in nanoseconds: cohorts and block times count from here.
    pub start_ns: u64,
}

/// What the programs are compiled with at load time.
#[derive(Debug, Clone, Copy)]
pub struct Constants {
    /// Length of a cohort.
    pub cohort: Duration,
    /// Smaller allocations are not followed, bytes.
    pub min_size: u64,
    /// No more allocations are followed than [`KernelSide::ration`] allows; nothing is before its first call.
    pub rationed: bool,
}

/// The kernel side could not be set up or read.
#[derive(Debug, Error)]
pub enum KernelSideError {
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
    #[error("cannot access the map {name}")]
    Map {
        /// Which.
        name: &'static str,
        /// aya's error.
        source: MapError,
    },
    /// Reading all entries.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// Attaching to tracepoints.
    #[error(transparent)]
    Tracepoint(#[from] TracepointError),
    /// The self-test's programs went on but did not see what happened.
    #[error("programs were attached, but of {made} {what} saw {seen} coming and {gone} going")]
    Blind {
        /// Of what.
        what: &'static str,
        /// How many there were.
        made: u64,
        /// How many were seen coming.
        seen: u64,
        /// How many were seen going.
        gone: u64,
    },
    /// The self-test could not do what it wanted to see.
    #[error("the self-test cannot run")]
    SelfTest(#[source] std::io::Error),
}

impl Constants {
    /// For a look at ourselves.
    pub(crate) const SELF_TEST: Self =
        Self { cohort: Duration::from_secs(3600), min_size: 0, rationed: false };

    /// For what a user chose.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { cohort: settings.cohort(), min_size: settings.min_size, rationed: settings.budget.is_some() }
    }
}

impl KernelSide {
    /// Creates the maps of an object file, with `more` constants put in. When memory does not suffice, fewer blocks are
    /// tried, down to 64 Ki; what it became is returned.
    pub fn load(
        object: &[u8],
        constants: Constants,
        more: &[(&str, &[u8])],
        mut capacity: Capacity,
    ) -> Result<(Self, Capacity), KernelSideError> {
        const FEWEST_BLOCKS: u32 = 65_536;
        let start_ns = monotonic_ns();
        loop {
            match load_object(object, constants, more, capacity, start_ns) {
                Err(ObjectError::Maps(error))
                    if capacity.blocks > FEWEST_BLOCKS && is_out_of_memory(&error) =>
                {
                    capacity.blocks = (capacity.blocks / 2).max(FEWEST_BLOCKS);
                }
                other => return Ok((Self { object: other?, start_ns }, capacity)),
            }
        }
    }

    /// The mappings of the process in a slot, by which its stacks are walked from now on.
    pub fn set_process(&mut self, slot: u32, process: &Process) -> Result<(), KernelSideError> {
        let map = self.map_mut("processes")?;
        let error = |source| KernelSideError::Map { name: "processes", source };
        Array::<_, Process>::try_from(map).and_then(|mut map| map.set(slot, process, 0)).map_err(error)
    }

    /// Counts what a process does from now on for its number, where programs see the whole machine; `None` ends that.
    pub fn set_target(&mut self, pid: u32, process: Option<ProcessNumber>) -> Result<(), KernelSideError> {
        let map = self.map_mut("targets")?;
        let error = |source| KernelSideError::Map { name: "targets", source };
        let mut map: HashMap<&mut MapData, u32, u32> = HashMap::try_from(map).map_err(error)?;
        match process {
            Some(process) => map.insert(pid, process.raw(), 0).map_err(error),
            None => match map.remove(&pid) {
                Err(MapError::KeyNotFound) => Ok(()),
                other => other.map_err(error),
            },
        }
    }

    /// All counters.
    pub fn counters(&self) -> Result<Vec<(CounterKey, Counters)>, KernelSideError> {
        Ok(read_all(self.descriptor("counters")?)?)
    }

    /// All live blocks.
    pub fn blocks(&self) -> Result<Vec<(BlockKey, Block)>, KernelSideError> {
        Ok(read_all(self.descriptor("blocks")?)?)
    }

    /// Calls `each` with every live block: there may be millions, which nobody should hold.
    pub fn each_block(&self, each: impl FnMut(BlockKey, Block)) -> Result<(), KernelSideError> {
        Ok(read_each(self.descriptor("blocks")?, each)?)
    }

    /// The stack of a hash; `None` when there was no room for it.
    pub fn stack(&self, hash: u64) -> Result<Option<Stack>, KernelSideError> {
        let error = |source| KernelSideError::Map { name: "stacks", source };
        let map = self.map("stacks")?;
        let map: HashMap<&MapData, u64, Stack> = HashMap::try_from(map).map_err(error)?;
        match map.get(&hash, 0) {
            Ok(stack) => Ok(Some(stack)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(error(source)),
        }
    }

    /// Makes room: what a process that is gone has left among counters and stacks.
    pub fn forget(
        &mut self,
        counters: &[CounterKey],
        stacks: impl Iterator<Item = u64>,
    ) -> Result<(), KernelSideError> {
        let error = |source| KernelSideError::Map { name: "counters", source };
        let mut map: HashMap<&mut MapData, CounterKey, Counters> =
            HashMap::try_from(self.map_mut("counters")?).map_err(error)?;
        for key in counters {
            gone(map.remove(key)).map_err(error)?;
        }
        let error = |source| KernelSideError::Map { name: "stacks", source };
        let mut map: HashMap<&mut MapData, u64, Stack> =
            HashMap::try_from(self.map_mut("stacks")?).map_err(error)?;
        for hash in stacks {
            gone(map.remove(&hash)).map_err(error)?;
        }
        Ok(())
    }

    /// Makes room: the blocks of processes that are gone. Looks at every block.
    pub fn forget_blocks(&mut self, is_gone: impl Fn(ProcessNumber) -> bool) -> Result<(), KernelSideError> {
        let error = |source| KernelSideError::Map { name: "blocks", source };
        let mut all = Vec::new();
        self.each_block(|key, _| {
            if is_gone(ProcessNumber::from_raw(key.process)) {
                all.push(key);
            }
        })?;
        let mut map: HashMap<&mut MapData, BlockKey, Block> =
            HashMap::try_from(self.map_mut("blocks")?).map_err(error)?;
        all.iter().try_for_each(|key| gone(map.remove(key))).map_err(error)
    }

    /// By stack, how many of its blocks were freed unseen; heap mode does not tell.
    pub fn missed(&self) -> Result<Vec<(u64, u64)>, KernelSideError> {
        match self.object.map("missed") {
            Ok(map) => Ok(read_all(map)?),
            Err(_not_in_this_mode) => Ok(Vec::new()),
        }
    }

    /// The kernel's ledger so far.
    pub fn ledger(&self) -> Result<BTreeMap<Ledger, u64>, KernelSideError> {
        let error = |source| KernelSideError::Map { name: "ledger", source };
        let map = self.map("ledger")?;
        let map: PerCpuArray<&MapData, u64> = PerCpuArray::try_from(map).map_err(error)?;
        Ledger::ALL
            .iter()
            .map(|entry| {
                // what one CPU counted another may take back, so that a single CPU's part can be below zero
                let parts = map.get(&(*entry as u32), 0).map_err(error)?;
                let sum = parts.iter().fold(0_u64, |sum, part| sum.wrapping_add(*part));
                Ok((*entry, u64::try_from(sum.cast_signed()).unwrap_or(0)))
            })
            .collect()
    }

    /// One of its maps.
    pub fn map(&self, name: &'static str) -> Result<&Map, KernelSideError> {
        self.object.aya.map(name).ok_or_else(|| missing(name))
    }

    /// One of its maps, to be written.
    pub fn map_mut(&mut self, name: &'static str) -> Result<&mut Map, KernelSideError> {
        self.object.aya.map_mut(name).ok_or_else(|| missing(name))
    }

    /// What a self-test made at least so many of must have been seen coming, and half of it going: the kernel is in no hurry
    /// to give back what lies in its per-CPU lists.
    pub(crate) fn expect(&self, what: &'static str, made: u64) -> Result<(), KernelSideError> {
        let counters = self.counters()?;
        let seen = counters.iter().map(|(_, one)| one.allocated.count).sum();
        let gone = counters.iter().map(|(_, one)| one.freed.count).sum();
        match seen >= made && gone >= made / 2 {
            true => Ok(()),
            false => Err(KernelSideError::Blind { what, made, seen, gone }),
        }
    }

    fn descriptor(&self, name: &'static str) -> Result<BorrowedFd<'_>, KernelSideError> {
        Ok(self.object.map(name)?)
    }
}

fn load_object(
    object: &[u8],
    constants: Constants,
    more: &[(&str, &[u8])],
    capacity: Capacity,
    start_ns: u64,
) -> Result<Object, ObjectError> {
    let cohort_ns = u64::try_from(constants.cohort.as_nanos()).unwrap_or(u64::MAX).max(1);
    let (start_ns, cohort_ns) = (start_ns.to_ne_bytes(), cohort_ns.to_ne_bytes());
    let (last_cohort, min_size) = ((COHORTS - 1).to_ne_bytes(), constants.min_size.to_ne_bytes());
    let rationed = u32::from(constants.rationed).to_ne_bytes();
    let mut all: Vec<(&str, &[u8])> = vec![
        ("start_ns", &start_ns),
        ("cohort_ns", &cohort_ns),
        ("last_cohort", &last_cohort),
        ("min_size", &min_size),
        ("rationed", &rationed),
    ];
    all.extend(more);
    Object::load(
        object,
        &all,
        &[
            ("blocks", capacity.blocks),
            ("counters", capacity.counters),
            ("stacks", capacity.stacks),
            ("rows", capacity.rows.max(1)), // kernel mode has no such maps, which is fine
            ("pages", capacity.pages.max(1)),
            ("ended", capacity.stream),
        ],
    )
}

/// What is not there any more need not be removed.
fn gone(removed: Result<(), MapError>) -> Result<(), MapError> {
    match removed {
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
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

fn missing(name: &'static str) -> KernelSideError {
    KernelSideError::Object(ObjectError::Missing(name.into()))
}

/// The inode number of our own pid namespace, in which we know processes by number; 0 when it is the initial one, whose numbers
/// programs see at once.
pub(crate) fn pid_namespace() -> u32 {
    /// PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h.
    const INITIAL: u64 = 0xefff_fffc;
    let inode = std::fs::metadata("/proc/self/ns/pid").map_or(INITIAL, |namespace| namespace.ino());
    if inode == INITIAL { 0 } else { u32::try_from(inode).unwrap_or(0) }
}

/// `CLOCK_MONOTONIC`, the clock of `bpf_ktime_get_ns`.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
