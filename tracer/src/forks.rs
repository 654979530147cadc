//! News of followed processes, as it happens: forks and replaced programs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use aya::{
    Ebpf, EbpfError, EbpfLoader,
    maps::{Array, HashMap, MapData, MapError, RingBuf},
    programs::{ProgramError, RawTracePoint},
};
use leakhound_ebpf::{
    FORKS,
    abi::{News, ProcessNews},
};
use thiserror::Error;

/// News cannot be had: the target is then looked at once per snapshot only.
#[derive(Debug, Error)]
pub enum ForksError {
    /// The object could not be loaded.
    #[error("cannot load the programs that see forks")]
    Load(#[source] Box<EbpfError>),
    /// It has no such part: a build error.
    #[error("the eBPF object has no {0}")]
    Missing(&'static str),
    /// A map could not be used.
    #[error("cannot use the maps of the programs that see forks")]
    Map(#[from] MapError),
    /// The kernel refused a program.
    #[error("cannot attach the programs that see forks")]
    Program(#[from] ProgramError),
}

/// Programs on the kernel's tracepoints of processes; they come off when dropped.
pub struct Forks {
    object: Ebpf,
    ring: RingBuf<MapData>,
}

impl Forks {
    /// Begins to listen, to nobody yet.
    pub fn listen() -> Result<Self, ForksError> {
        let namespace = pid_namespace();
        let mut loader = EbpfLoader::new();
        loader.override_global("pid_namespace", &namespace, true);
        let mut object = loader.load(FORKS).map_err(|error| ForksError::Load(Box::new(error)))?;
        for (program, tracepoint) in [("forked", "sched_process_fork"), ("executed", "sched_process_exec")] {
            let program: &mut RawTracePoint =
                object.program_mut(program).ok_or(ForksError::Missing(program))?.try_into()?;
            program.load()?;
            program.attach(tracepoint)?;
        }
        let ring = RingBuf::try_from(object.take_map("news").ok_or(ForksError::Missing("news"))?)?;
        Ok(Self { object, ring })
    }

    /// Tells of this process from now on.
    pub fn follow(&mut self, pid: u32) -> Result<(), ForksError> {
        Ok(self.parents()?.insert(pid, 0, 0)?)
    }

    /// Tells of it no more.
    pub fn forget(&mut self, pid: u32) -> Result<(), ForksError> {
        match self.parents()?.remove(&pid) {
            Err(MapError::KeyNotFound) => Ok(()),
            other => Ok(other?),
        }
    }

    /// What happened since the last call.
    pub fn news(&mut self) -> Vec<(News, u32)> {
        let mut news = Vec::new();
        while let Some(one) = self.ring.next().and_then(|item| read(&item)) {
            let what = if one.what == News::Executed as u32 { News::Executed } else { News::Forked };
            news.push((what, one.number));
        }
        news
    }

    /// How often followed processes forked so far.
    pub fn count(&self) -> Result<u64, ForksError> {
        let map = self.object.map("forks").ok_or(ForksError::Missing("forks"))?;
        Ok(Array::<_, u64>::try_from(map)?.get(&0, 0)?)
    }

    fn parents(&mut self) -> Result<HashMap<&mut MapData, u32, u32>, ForksError> {
        let map = self.object.map_mut("parents").ok_or(ForksError::Missing("parents"))?;
        Ok(HashMap::try_from(map)?)
    }
}

impl AsFd for Forks {
    /// Becomes readable when there is news.
    #[allow(unsafe_code, reason = "aya lends the descriptor as a number only")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

fn read(bytes: &[u8]) -> Option<ProcessNews> {
    let (what, number) = bytes.split_at_checked(4)?;
    let word = |bytes: &[u8]| Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?));
    Some(ProcessNews { what: word(what)?, number: word(number)? })
}

/// The inode number of our own pid namespace; 0 for the initial one, whose numbers the kernel's programs see at once.
fn pid_namespace() -> u32 {
    use std::os::unix::fs::MetadataExt;
    /// PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h.
    const INITIAL: u64 = 0xefff_fffc;
    let inode = std::fs::metadata("/proc/self/ns/pid").map_or(INITIAL, |namespace| namespace.ino());
    if inode == INITIAL { 0 } else { u32::try_from(inode).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::{is_root, wait_for};

    #[test]
    fn a_child_of_a_followed_process_is_told_of_at_once() {
        if !is_root() {
            return;
        }
        let mut forks = Forks::listen().unwrap();
        forks.follow(std::process::id()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut news = Vec::new();
        wait_for("news of the child", || {
            news.extend(forks.news());
            news.contains(&(News::Forked, child.id()))
        });
        child.wait().unwrap();
        assert!(forks.count().unwrap() >= 1);
        forks.forget(std::process::id()).unwrap();
        let before = forks.count().unwrap();
        std::process::Command::new("true").status().unwrap();
        assert_eq!(forks.count().unwrap(), before, "nobody is followed any more");
    }
}
