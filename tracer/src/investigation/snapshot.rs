//! One snapshot: reads the counters, names stacks met for the first time, and records what changed.

use std::{collections::HashSet, time::Duration};

use leakhound_report::recording::{Record, Snapshot};

use super::{InvestigationError, flow::Run, ledger};
use crate::{accounting, process::ProcessId};

impl Run<'_> {
    /// Reads the counters and records what changed.
    pub(super) fn snapshot(&mut self) -> Result<(), InvestigationError> {
        let time_ns = self.time_ns();
        self.last_snapshot_ns = time_ns;
        let reading = self.watch.side().counters()?;
        self.record_new_stacks(reading.iter().map(|(key, _)| key.stack))?;
        let numbers = &self.stacks;
        self.tally.take_in(&reading, |hash| numbers.id(hash).unwrap_or(u32::MAX));
        self.bury()?;
        let changed = self.tally.changes();
        if let Some(forks) = &self.forks {
            self.own.forks = forks.count().unwrap_or(self.own.forks);
        }
        self.own.modules = self.modules.losses;
        self.own.symbols = self.symbolizer.stats;
        let ledger = ledger::compose(&self.watch.side().ledger()?, self.tally.sum(), &self.own);
        self.note_progress(ledger::events(&ledger), time_ns);
        let ids: Vec<ProcessId> = self.processes.iter().map(|(process, _)| process.id).collect();
        let snapshot = Snapshot {
            time_ns,
            processes: ids.iter().filter_map(|id| accounting::account(*id)).collect(),
            cgroup_bytes: self.target.memory(ids.first().copied()).map(|memory| memory.used),
            stacks: changed,
            ledger,
        };
        self.record(&Record::Snapshot(snapshot))
    }

    fn record_new_stacks(&mut self, hashes: impl Iterator<Item = u64>) -> Result<(), InvestigationError> {
        let mut new = Vec::new();
        let mut asked = HashSet::new();
        for hash in hashes {
            if self.stacks.id(hash).is_none() && asked.insert(hash) {
                new.push((hash, self.watch.side().stack(hash)?));
            }
        }
        let followed = self.processes.iter().map(|(process, _)| process).chain(&self.leaving);
        let stacks = self.stacks.add(&new, followed, &self.modules, &mut self.symbolizer);
        let modules: Vec<_> = self.modules.records_from(self.modules_recorded).collect();
        self.modules_recorded += modules.len();
        for module in modules {
            self.record(&Record::Module(module))?;
        }
        if let Some(stream) = &self.stream {
            stacks.iter().for_each(|stack| stream.stack(stack));
            for (hash, _) in &new {
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

    fn note_progress(&mut self, counted: u64, time_ns: u64) {
        let (live_bytes, live_count) = self.tally.live();
        self.progress.snapshots += 1;
        self.progress.live_bytes = live_bytes;
        self.progress.live_count = live_count;
        if self.purse.events.is_none() {
            let seconds = self.settings.interval.min(Duration::from_nanos(time_ns.max(1))).as_secs_f64();
            self.progress.events_per_second = counted.saturating_sub(self.events) as f64 / seconds;
        }
        self.events = self.purse.events.unwrap_or(counted);
        (self.observer.progress)(&self.progress);
    }
}
