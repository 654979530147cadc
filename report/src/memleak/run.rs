//! One run of memleak in a log: from its banner to the next one, or to the end.

use std::collections::HashSet;

use crate::{
    plumbing,
    recording::{End, FORMAT, Frame, Header, Mode, Record, Recording, Settings, Skip, Source, Target},
};

use super::{
    clock::Clock,
    counters::{Absent, Counters},
    line::{Banner, Line},
    losses::{Loss, Losses},
    open::OpenSnapshot,
    stacks::Stacks,
};

const SECOND: u64 = 1_000_000_000;

/// What was read of one run so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    source: Option<Source>,
    mode: Option<Mode>,
    pids: Vec<u32>,
    command: Option<String>,
    clock: Clock,
    stacks: Stacks,
    counters: Counters,
    /// The longest list so far: libbpf-tools prints how many stacks it shows, not how many it may.
    longest_list: u64,
    open: Option<OpenSnapshot>,
    cut_off: bool,
    losses: Losses,
}

/// How the last line of a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLine {
    /// With a line end.
    Whole,
    /// Without one, but it can be read.
    Open,
    /// Without one, and it is part of a line of memleak.
    Torn,
}

impl Run {
    /// Snapshots so far, with the open one.
    pub(super) fn snapshots(&self) -> usize {
        self.counters.seen() + usize::from(self.open.is_some())
    }

    /// Takes in a line. False for one that says nothing here.
    pub(super) fn take(&mut self, line: Line<'_>) -> bool {
        match line {
            Line::Banner(banner) => self.introduce(banner),
            Line::NotShown(count) => self.losses.add(Loss::StackNotShown, count),
            Line::Snapshot { second, top } => {
                self.close(false);
                self.open = Some(OpenSnapshot::new(second, top, self.stacks.len()));
            }
            Line::Total { .. } | Line::Frame { .. } | Line::Block if self.open.is_none() => {
                self.losses.add(Loss::LineOutsideSnapshot, 1);
            }
            line => {
                if let Line::Frame { source, .. } = line {
                    self.source.get_or_insert(source);
                }
                let open = self.open.as_mut();
                return open.is_none_or(|open| open.take(line, &mut self.stacks, &mut self.losses));
            }
        }
        true
    }

    /// Something broke a line of the open stack, if any.
    pub(super) fn damage(&mut self) {
        if let Some(open) = &mut self.open {
            open.damage();
        }
    }

    fn introduce(&mut self, banner: Banner<'_>) {
        self.source = self.source.or(banner.source);
        self.mode = self.mode.or(banner.mode);
        self.pids.extend(banner.pid.filter(|pid| !self.pids.contains(pid)));
        if let (None, Some(command)) = (&self.command, banner.command) {
            self.command = Some(command.to_owned());
        }
    }

    /// Ends the run. A last snapshot that was cut off is left out, unless it is the only one.
    pub(super) fn end(&mut self, last_line: LastLine) {
        let Some(mut open) = self.open.take() else { return };
        if last_line == LastLine::Torn {
            open.damage();
        }
        open.close_stack(&mut self.stacks, &mut self.losses);
        let is_only = self.counters.seen() == 0;
        let new = open.last_stack.filter(|&stack| stack >= open.first_new && !is_only);
        let part =
            new.is_some_and(|stack| last_line == LastLine::Open || self.stacks.is_begin_of_another(stack));
        self.cut_off = part || last_line == LastLine::Torn || self.is_libbpf() && open.totals < open.top;
        if is_only || !self.cut_off {
            self.open = Some(open);
            self.close(true);
        }
    }

    fn is_libbpf(&self) -> bool {
        self.source == Some(Source::MemleakLibbpf)
    }

    /// Counts the open snapshot. At the end of a log of bcc nobody knows whether its list is complete.
    fn close(&mut self, at_end: bool) {
        let Some(mut open) = self.open.take() else { return };
        open.close_stack(&mut self.stacks, &mut self.losses);
        let (elapsed, plausible) = self.clock.advance(open.second);
        self.losses.add(Loss::ClockJump, u64::from(!plausible));
        self.longest_list = self.longest_list.max(open.top);
        // bcc says how many it may show, libbpf-tools how many it shows.
        let whole = !open.damaged && if self.is_libbpf() { open.totals == open.top } else { !at_end };
        let limit = if self.is_libbpf() { self.longest_list } else { open.top };
        let absent = match open.smallest() {
            _ if whole && open.totals < limit => Absent::Gone,
            Some(smallest) if whole => Absent::AtMost(smallest),
            _ => Absent::Unknown,
        };
        let unknown = self.counters.record(elapsed.saturating_mul(SECOND), &open.into_shown(), absent);
        self.losses.add(Loss::StackAbsent, unknown);
    }

    /// The recording of this run, with what was lost in the log around it.
    pub(super) fn into_recording(mut self, log: &Losses) -> Recording {
        let interval_ns = self.clock.interval() * SECOND;
        let in_kernel = || self.stacks.any_in_kernel();
        let mode = self.mode.unwrap_or_else(|| if in_kernel() { Mode::Kernel } else { Mode::Heap });
        let mut recording = Recording::new(Header {
            format: FORMAT.to_owned(),
            source: self.source.unwrap_or(Source::MemleakBcc),
            mode,
            target: Target {
                pids: self.pids,
                command: self.command.unwrap_or_default(),
                ..Target::default()
            },
            settings: Settings { interval_ns, ..Settings::default() },
            ..Header::default()
        });
        let seen = self.counters.seen();
        let mut snapshots = self.counters.into_snapshots();
        self.losses.add(Loss::SnapshotThinned, (seen - snapshots.len()) as u64);
        self.losses.extend(log);
        // memleak sleeps for its interval, then prints: it began one interval before its first snapshot.
        for snapshot in &mut snapshots {
            snapshot.time_ns = snapshot.time_ns.saturating_add(interval_ns);
        }
        let time_ns = snapshots.last().map_or(0, |snapshot| snapshot.time_ns);
        if let Some(last) = snapshots.last_mut() {
            last.ledger = self.losses.ledger();
        }
        let counted: HashSet<u32> =
            snapshots.iter().flat_map(|snapshot| &snapshot.stacks).map(|counters| counters.id).collect();
        let mark: fn(&mut [Frame]) =
            if mode == Mode::Kernel { plumbing::mark_kernel } else { plumbing::mark };
        let (modules, stacks) = self.stacks.into_records(mark);
        let stacks = stacks.into_iter().filter(|stack| counted.contains(&stack.id));
        let end = Record::End(End { time_ns, reason: "stopped".to_owned(), ..End::default() });
        let records = modules.into_iter().map(Record::Module);
        let records =
            records.chain(stacks.map(Record::Stack)).chain(snapshots.into_iter().map(Record::Snapshot));
        for record in records.chain((!self.cut_off).then_some(end)) {
            recording.push(record);
        }
        if self.cut_off {
            recording.skipped.add(Skip::CutOff);
        }
        recording
    }
}
