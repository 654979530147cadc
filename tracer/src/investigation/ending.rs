//! The way out: probes off, a last look at the target, the oldest blocks, the end record.

use std::time::{Duration, Instant};

use leakhound_ebpf::abi::Ledger;
use leakhound_report::recording::{Block, End, EventKind, Overhead, Record};

use super::{InvestigationError, flow::Run, header::nanoseconds, processor::Reading, wait::wait_until};
use crate::blocks;

/// Cores that the target kept busy.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cores {
    pub(super) before: Option<f64>,
    pub(super) during: Option<f64>,
    pub(super) after: Option<f64>,
}

/// How long the target is looked at after the probes came off, to compare what it costs by itself.
const AFTERWARDS: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Takes the probes off, once.
    pub(super) fn let_go(&mut self) -> Result<(), InvestigationError> {
        if self.let_go.is_some() {
            return Ok(());
        }
        let (time_ns, began) = (self.time_ns(), Instant::now());
        self.watch.detach(&mut self.processes.iter_mut().map(|(process, _)| process));
        self.releaser.finish();
        self.let_go = Some((time_ns, began.elapsed()));
        self.account()?;
        self.event(EventKind::Detached, None, String::new())
    }

    /// Takes the probes off and records the end. Unless the budget forced it, the last snapshot was before: between the first
    /// probe coming off and the last, frees are seen whose allocations are not.
    pub(super) fn finish(
        mut self,
        reason: &str,
        ended_with: Option<String>,
        look_again: bool,
    ) -> Result<(), InvestigationError> {
        self.let_go()?;
        debug_assert_eq!(self.slots.taken(), self.processes.len() + self.leaving.len(), "a slot was lost");
        if look_again {
            let without = self.read_processors();
            self.pause(AFTERWARDS);
            self.cores.after = without.until(&self.read_processors());
        }
        let blocks = self.oldest_blocks()?;
        let (let_go_ns, detach_took) = self.let_go.unwrap_or_default();
        let time_ns = let_go_ns.max(self.last_snapshot_ns);
        let end = End {
            time_ns,
            reason: reason.to_owned(),
            ended_with,
            overhead: Overhead {
                attach_ns: nanoseconds(self.attach_took),
                detach_ns: nanoseconds(detach_took),
                events: self.watch.costs().events(),
                probe_ns: self.watch.costs().per_event_ns(),
                cpu_before: self.cores.before,
                cpu_during: self.cores.during,
                cpu_after: self.cores.after,
            },
            blocks,
        };
        self.record(&Record::End(end))?;
        self.end_stream()
    }

    /// The log of blocks ends with those that are still live.
    fn end_stream(&mut self) -> Result<(), InvestigationError> {
        let Some(stream) = self.stream.take() else { return Ok(()) };
        let side = self.watch.side();
        let lost = side.ledger()?.get(&Ledger::StreamLost).copied().unwrap_or(0);
        stream.finish(side.blocks()?, lost)?;
        Ok(())
    }

    fn oldest_blocks(&self) -> Result<Vec<Block>, InvestigationError> {
        if !self.watch.lists_blocks() {
            return Ok(Vec::new());
        }
        let largest = self.tally.largest(blocks::STACKS);
        let pids = self.processes.iter().map(|(process, _)| (process.number, process.id.pid)).collect();
        let (side, wanted) = (self.watch.side(), self.settings.blocks_per_stack);
        Ok(blocks::oldest(side, &self.stacks, &largest, &pids, wanted)?)
    }

    /// The target's processor time now.
    pub(super) fn read_processors(&self) -> Reading {
        Reading::take(self.processes.iter().map(|(process, _)| process.id))
    }

    /// Does nothing for a while, unless somebody asks to stop or the target ends.
    fn pause(&self, length: Duration) {
        let watches = || self.processes.iter().map(|(_, watch)| watch).collect();
        wait_until(Instant::now() + length, watches, None, self.observer.stop, || {});
    }
}
