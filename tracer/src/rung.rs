//! The attach ladder: three ways to see an allocator function called and returning, the best first.
//!
//! Which ones work is found out by a self-test on a function of our own, never by the kernel's version.

mod filtered;

use std::{
    collections::BTreeSet,
    hint::black_box,
    io,
    num::NonZeroU32,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::{
    maps::Array,
    programs::{
        ProgramError as AyaError, UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope},
    },
};
use leakhound_ebpf::PROBE;
use procfs::process::{MMapPath, Process};
use thiserror::Error;

pub use filtered::FilterProof;

use crate::bpf::{AttachType, Link, LinkError, Object, ObjectError, Program, Site, link_uprobes};

/// One way of attaching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rung {
    /// One link, one program for entry and return: kernel 6.13.
    Session,
    /// One link for all entries, one for all returns: kernel 6.6.
    Multi,
    /// A perf event for every single probe: any kernel with BPF cookies (5.15), but slow to take off, and
    /// needs CAP_SYS_ADMIN on many kernels.
    PerfEvent,
}

impl Rung {
    /// From the best to the last resort.
    pub const LADDER: [Self; 3] = [Self::Session, Self::Multi, Self::PerfEvent];

    /// The name shown to users, and taken from them.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "uprobe.session",
            Self::Multi => "uprobe_multi",
            Self::PerfEvent => "perf-event",
        }
    }
}

/// Names of the three programs that make up one set of probes in an object file.
#[derive(Debug, Clone, Copy)]
pub struct ProgramNames {
    /// For both ends of a call, by session.
    pub session: &'static str,
    /// For a call's beginning.
    pub entry: &'static str,
    /// For its end.
    pub at_return: &'static str,
    /// For calls whose return does not matter.
    pub free: &'static str,
}

/// The programs of one set, in the kernel, loaded for one rung.
#[derive(Debug)]
pub enum Probes {
    /// By [`Rung::Session`].
    Session {
        /// Entry and return.
        call: Program,
        /// Entries only.
        free: Program,
    },
    /// By [`Rung::Multi`].
    Multi {
        /// Entries.
        entry: Program,
        /// Returns.
        at_return: Program,
        /// Entries only.
        free: Program,
    },
    /// By [`Rung::PerfEvent`]: aya holds the programs.
    PerfEvent(ProgramNames),
}

/// Attached probes of one kind in one file and process; they come off on drop.
#[derive(Debug)]
pub enum Attachment {
    /// A link of many probes.
    Multi(#[allow(dead_code, reason = "held for its drop")] Link),
    /// One perf event each.
    PerfEvents(#[allow(dead_code, reason = "held for its drop")] Vec<aya::programs::uprobe::UProbeLink>),
}

/// Programs could not be loaded, or probes not attached.
#[derive(Debug, Error)]
pub enum RungError {
    /// Loading through our own loader.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// Attaching a multi link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Loading or attaching through aya.
    #[error(transparent)]
    Aya(#[from] AyaError),
    /// The self-test's probes went on but did not see what happened.
    #[error("probes were attached, but saw {entries} of {calls} calls and {returns} of {calls} returns")]
    Blind {
        /// Calls made.
        calls: u64,
        /// Calls seen.
        entries: u64,
        /// Returns seen.
        returns: u64,
    },
    /// Our own program file was not found in our own mappings.
    #[error("cannot find our own code in /proc/self/maps")]
    OwnCode,
    /// The process of our own that stands for programs under a filter.
    #[error("cannot start a process of our own to try return probes under a seccomp filter")]
    OwnProcess(#[source] io::Error),
    /// pid 0 cannot be a target.
    #[error("process 0 cannot be probed")]
    NoProcess,
}

impl Probes {
    /// Loads one set of programs for one rung.
    pub fn load(object: &mut Object, names: ProgramNames, rung: Rung) -> Result<Self, RungError> {
        Ok(match rung {
            Rung::Session => Self::Session {
                call: object.program(names.session, AttachType::UprobeSession)?,
                free: object.program(names.free, AttachType::UprobeMulti)?,
            },
            Rung::Multi => Self::Multi {
                entry: object.program(names.entry, AttachType::UprobeMulti)?,
                at_return: object.program(names.at_return, AttachType::UprobeMulti)?,
                free: object.program(names.free, AttachType::UprobeMulti)?,
            },
            Rung::PerfEvent => {
                // one program may serve two purposes
                for name in BTreeSet::from([names.entry, names.at_return, names.free]) {
                    aya_program(object, name)?.load()?;
                }
                Self::PerfEvent(names)
            }
        })
    }

    /// Probes the calls of functions whose return does not matter.
    pub fn attach_free(
        &self,
        object: &mut Object,
        path: &Path,
        sites: &[Site],
        pid: u32,
    ) -> Result<Attachment, RungError> {
        match self {
            Self::Session { free, .. } | Self::Multi { free, .. } => {
                Ok(Attachment::Multi(link_uprobes(free, AttachType::UprobeMulti, path, sites, pid, false)?))
            }
            Self::PerfEvent(names) => attach_perf_events(object, names.free, path, sites, pid),
        }
    }

    /// Probes both ends of calls. What is attached first must come off last: the attachments are in the order to drop.
    pub fn attach_calls(
        &self,
        object: &mut Object,
        path: &Path,
        sites: &[Site],
        pid: u32,
    ) -> Result<Vec<Attachment>, RungError> {
        match self {
            Self::Session { call, .. } => {
                let link = link_uprobes(call, AttachType::UprobeSession, path, sites, pid, false)?;
                Ok(vec![Attachment::Multi(link)])
            }
            // Returns first: an entry whose return nobody sees would take a block out for ever.
            Self::Multi { entry, at_return, .. } => {
                let returns = link_uprobes(at_return, AttachType::UprobeMulti, path, sites, pid, true)?;
                let entries = link_uprobes(entry, AttachType::UprobeMulti, path, sites, pid, false)?;
                Ok(vec![Attachment::Multi(entries), Attachment::Multi(returns)])
            }
            Self::PerfEvent(names) => {
                let returns = attach_perf_events(object, names.at_return, path, sites, pid)?;
                let entries = attach_perf_events(object, names.entry, path, sites, pid)?;
                Ok(vec![entries, returns])
            }
        }
    }
}

fn aya_program<'a>(object: &'a mut Object, name: &str) -> Result<&'a mut UProbe, RungError> {
    let program = object.aya.program_mut(name).ok_or_else(|| ObjectError::Missing(name.to_owned()))?;
    Ok(program.try_into()?)
}

fn attach_perf_events(
    object: &mut Object,
    program: &str,
    path: &Path,
    sites: &[Site],
    pid: u32,
) -> Result<Attachment, RungError> {
    let scope = UProbeScope::OneProcess(NonZeroU32::new(pid).ok_or(RungError::NoProcess)?);
    let program = aya_program(object, program)?;
    let mut links = Vec::with_capacity(sites.len());
    for (offset, cookie) in sites {
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(*offset),
            cookie: Some(*cookie),
        };
        let id = program.attach(point, path, scope)?;
        links.push(program.take_link(id)?);
    }
    Ok(Attachment::PerfEvents(links))
}

/// Programs of [`PROBE`] that do nothing, for the benchmark's floor: the cost of the traps alone.
pub const EMPTY: ProgramNames = ProgramNames {
    session: "empty_session",
    entry: "empty_entry",
    at_return: "empty_return",
    free: "empty_entry",
};

const SELF_TEST: ProgramNames = ProgramNames {
    session: "probe_session",
    entry: "probe_entry",
    at_return: "probe_return",
    free: "empty_entry",
};

/// Held while functions of our own are probed. A probe sees every thread of its process: two investigations that begin at once
/// would count each other's calls and time each other's traps.
pub(crate) fn hold_own_functions() -> MutexGuard<'static, ()> {
    static OWN_FUNCTIONS: Mutex<()> = Mutex::new(());
    OWN_FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the self-test probes.
#[inline(never)]
extern "C" fn self_test_target(value: u64) -> u64 {
    black_box(value).wrapping_add(1)
}

/// Proves a rung on ourselves: probes must see every call and every return, with their cookie.
pub fn prove(rung: Rung) -> Result<(), RungError> {
    const CALLS: u64 = 3;
    const COOKIE: u64 = 0x4c65_616b;
    let mut object = Object::load(PROBE, &[], &[])?;
    let probes = Probes::load(&mut object, SELF_TEST, rung)?;
    let sites = [(own_offset(self_test_target as *const () as u64)?, COOKIE)];
    let _alone = hold_own_functions();
    let attached =
        probes.attach_calls(&mut object, Path::new("/proc/self/exe"), &sites, std::process::id())?;
    for value in 0..CALLS {
        black_box(self_test_target(value));
    }
    drop(attached);
    require_seen(&object, CALLS, COOKIE)
}

/// The self-test's probes have seen this many calls and returns, with this cookie.
fn require_seen(object: &Object, calls: u64, cookie: u64) -> Result<(), RungError> {
    let missing = || ObjectError::Missing("seen".into());
    let seen =
        Array::<_, u64>::try_from(object.aya.map("seen").ok_or_else(missing)?).map_err(|_map| missing())?;
    let read = |index| seen.get(&index, 0).unwrap_or(0);
    match (read(0), read(1), read(2)) {
        (entries, returns, last) if (entries, returns, last) == (calls, calls, cookie) => Ok(()),
        (entries, returns, _) => Err(RungError::Blind { calls, entries, returns }),
    }
}

/// File offset, in our own program, of an address in it.
pub(crate) fn own_offset(address: u64) -> Result<u64, RungError> {
    let maps = Process::myself().and_then(|own| own.maps()).map_err(|_unreadable| RungError::OwnCode)?;
    maps.iter()
        .find(|map| {
            (map.address.0..map.address.1).contains(&address) && matches!(map.pathname, MMapPath::Path(_))
        })
        .map(|map| address - map.address.0 + map.offset)
        .ok_or(RungError::OwnCode)
}

#[cfg(test)]
mod tests;
