//! One snapshot: reads the counters, names stacks met for the first time, and records what changed.

use std::collections::HashSet;

use leakhound_ebpf::abi::Stack;
use leakhound_report::recording::{Record, Snapshot};

use super::{InvestigationError, flow::Run, ledger};
use crate::{accounting, process::ProcessId};

impl Run<'_> {
    /// Reads the counters and records what changed.
    pub(super) fn snapshot(&mut self) -> Result<(), InvestigationError> {
        let time_ns = self.time_ns();
        self.last_snapshot_ns = time_ns;
        self.settle();
        let mut reading = self.watch.side().counters()?;
        // at once: naming new stacks can take a while, and memory is compared with these counters
        let ids: Vec<ProcessId> = self.processes.iter().map(|(process, _)| process.id).collect();
        let processes = ids.iter().filter_map(|id| accounting::account(*id)).collect();
        let cgroup = self.target.memory(ids.first().copied());
        self.record_new_stacks(reading.iter().map(|(key, _)| key.stack))?;
        let stacks = &self.stacks;
        let refills = reading.extract_if(.., |(key, _)| stacks.is_refill(key.stack));
        self.own.slab_page_bytes = refills.map(|(_, counters)| counters.allocated.bytes).sum();
        let missed = self.watch.side().missed()?;
        self.tally.note_missed(&missed, |hash| stacks.id(hash));
        self.tally.take_in(&reading, |hash| stacks.id(hash).unwrap_or(u32::MAX));
        self.bury()?;
        let changed = self.tally.changes();
        if let Some(forks) = &self.forks {
            self.own.forks = forks.count().unwrap_or(self.own.forks);
        }
        self.own.modules = self.modules.losses;
        self.own.symbols = self.symbolizer.stats;
        self.own.nested_misses = self.watch.nested_misses();
        let ledger = ledger::compose(&self.watch.side().ledger()?, self.tally.sum(), &self.own);
        self.note_progress();
        let snapshot = Snapshot {
            time_ns,
            processes,
            cgroup_bytes: cgroup.map(|memory| memory.used),
            stacks: changed,
            ledger,
        };
        self.record(&Record::Snapshot(snapshot))
    }

    fn record_new_stacks(&mut self, hashes: impl Iterator<Item = u64>) -> Result<(), InvestigationError> {
        let mut new = Vec::new();
        let mut asked = HashSet::new();
        for hash in hashes {
            if !self.stacks.knows(hash) && asked.insert(hash) {
                new.push((hash, self.watch.side().stack(hash)?));
            }
        }
        // naming can take long, of which the target has nothing to feel
        const AT_ONCE: usize = 8;
        for some in new.chunks(AT_ONCE) {
            self.record_stacks(some)?;
            self.look()?;
        }
        Ok(())
    }

    fn record_stacks(&mut self, new: &[(u64, Option<Stack>)]) -> Result<(), InvestigationError> {
        let first = self.modules_recorded;
        let (stacks, modules): (_, Vec<_>) = if let Some(symbols) = self.watch.kernel_symbols() {
            let stacks = self.stacks.add_kernel(new, symbols);
            self.symbolizer.stats.unnamed = symbols.unnamed();
            (stacks, symbols.records_from(first).collect())
        } else {
            let followed = self
                .processes
                .iter()
                .map(|(process, _)| process)
                .chain(self.leaving.iter().map(|one| &one.process));
            let stacks = self.stacks.add(new, followed, &self.modules, &mut self.symbolizer);
            (stacks, self.modules.records_from(first).collect())
        };
        self.modules_recorded += modules.len();
        for module in modules {
            self.record(&Record::Module(module))?;
        }
        if let Some(stream) = &self.stream {
            stacks.iter().for_each(|stack| stream.stack(stack));
            for (hash, _) in new {
                if let Some(id) = self.stacks.id(*hash) {
                    stream.hash(*hash, id);
                }
            }
        }
        for stack in stacks {
            self.record(&Record::Stack(stack))?;
        }
        Ok(())
    }

    fn note_progress(&mut self) {
        let (live_bytes, live_count) = self.tally.live();
        self.progress.snapshots += 1;
        self.progress.live_bytes = live_bytes;
        self.progress.live_count = live_count;
        (self.observer.progress)(&self.progress);
    }
}
