//! Processes that have ended, or that run another program now: their probes come off at once, and what they left in the kernel
//! is counted once more and then removed, so that their slots can be used again.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::JoinHandle,
};

use super::{InvestigationError, flow::Run};
use crate::{attachment::ProcessProbes, followed::Followed};

/// A process that is gone, or that runs another program now.
pub(super) struct Leaving {
    pub(super) process: Followed,
    probes: u64,
    /// Nothing is added to what it left any more.
    settled: bool,
}

/// Takes off probes of processes that are gone. The kernel needs some tens of milliseconds for each: nobody has to wait.
#[derive(Default)]
pub(super) struct Releaser {
    thread: Option<(Sender<ProcessProbes>, JoinHandle<()>)>,
    given: u64,
    off: Arc<AtomicU64>,
}

impl Releaser {
    /// Returns a number for [`Self::are_off`].
    fn release(&mut self, probes: ProcessProbes) -> u64 {
        let off = &self.off;
        let (to, _) = self.thread.get_or_insert_with(|| {
            let (to, from) = channel::<ProcessProbes>();
            let off = Arc::clone(off);
            let take_off = move |probes| {
                drop::<ProcessProbes>(probes);
                off.fetch_add(1, Ordering::Release);
            };
            (to, std::thread::spawn(move || from.into_iter().for_each(take_off)))
        });
        if to.send(probes).is_err() {
            tracing::debug!("the thread that takes probes off is gone; they came off here");
            self.off.fetch_add(1, Ordering::Release);
        }
        self.given += 1;
        self.given
    }

    /// They come off in the order in which they are given.
    fn are_off(&self, number: u64) -> bool {
        self.off.load(Ordering::Acquire) >= number
    }

    /// Waits until all are off.
    pub(super) fn finish(&mut self) {
        if let Some((to, thread)) = self.thread.take() {
            drop(to);
            if thread.join().is_err() {
                tracing::debug!("the thread that takes probes off died");
            }
        }
    }
}

impl Run<'_> {
    /// A process is gone, or its program. Its counters are read once more, at the next snapshot.
    pub(super) fn leave(&mut self, mut process: Followed) {
        let probes = self.releaser.release(std::mem::take(&mut process.probes));
        if let Err(error) = self.watch.release(&process) {
            tracing::debug!(%error, "cannot stop watching a process that is gone");
        }
        if let Some(forks) = &mut self.forks
            && let Err(error) = forks.forget(process.id.pid)
        {
            tracing::debug!(%error, "cannot stop listening to a process that is gone");
        }
        self.leaving.push(Leaving { process, probes, settled: false });
    }

    /// Before a reading: finds those of whom it will show all. Until its probes are off, what another program in the same
    /// process does is still counted as its own.
    pub(super) fn settle(&mut self) {
        for one in &mut self.leaving {
            one.settled = self.releaser.are_off(one.probes) || !one.process.id.is_alive();
        }
    }

    /// After a reading: what those that left still held counts as freed, and their place is free again.
    pub(super) fn bury(&mut self) -> Result<(), InvestigationError> {
        let settled: Vec<Leaving> = self.leaving.extract_if(.., |one| one.settled).collect();
        for Leaving { process, .. } in settled {
            let stacks = self.stacks.forget(process.number);
            let hashes: HashSet<u64> = stacks.keys().copied().collect();
            let (counters, stale) = self.tally.retire(&hashes, |hash| stacks.get(&hash).copied());
            self.watch.side_mut().forget(&counters, hashes.into_iter())?;
            self.stale_blocks += stale;
            self.slots.give_back(process.number);
        }
        // looking at every block is dear, so they may take some of the room for a while
        if self.watch.lists_blocks() && self.stale_blocks > u64::from(self.settings.capacity.blocks / 8) {
            let present: HashSet<_> = self.processes.iter().map(|(process, _)| process.number).collect();
            self.watch.side_mut().forget_blocks(|process| !present.contains(&process))?;
            self.stale_blocks = 0;
        }
        Ok(())
    }
}
