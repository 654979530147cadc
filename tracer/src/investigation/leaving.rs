//! Processes that have ended, or that run another program now: their probes come off at once, and what they left in the kernel
//! is counted once more and then removed, so that their slots can be used again.

use std::{
    collections::HashSet,
    sync::mpsc::{Sender, channel},
    thread::JoinHandle,
};

use super::{InvestigationError, flow::Run};
use crate::{attachment::ProcessProbes, followed::Followed};

/// Takes off probes of processes that are gone. The kernel needs some tens of milliseconds for each: nobody has to wait.
#[derive(Default)]
pub(super) struct Releaser {
    thread: Option<(Sender<ProcessProbes>, JoinHandle<()>)>,
}

impl Releaser {
    fn release(&mut self, probes: ProcessProbes) {
        let (to, _) = self.thread.get_or_insert_with(|| {
            let (to, from) = channel::<ProcessProbes>();
            (to, std::thread::spawn(move || from.into_iter().for_each(drop)))
        });
        if to.send(probes).is_err() {
            tracing::debug!("the thread that takes probes off is gone; they came off here");
        }
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
        self.releaser.release(std::mem::take(&mut process.probes));
        if let Err(error) = self.watch.release(&process) {
            tracing::debug!(%error, "cannot stop watching a process that is gone");
        }
        if let Some(forks) = &mut self.forks
            && let Err(error) = forks.forget(process.id.pid)
        {
            tracing::debug!(%error, "cannot stop listening to a process that is gone");
        }
        self.leaving.push(process);
    }

    /// After a reading: what those that left still held counts as freed, and their place is free again.
    pub(super) fn bury(&mut self) -> Result<(), InvestigationError> {
        for process in std::mem::take(&mut self.leaving) {
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
