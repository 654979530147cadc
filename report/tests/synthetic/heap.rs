//! A heap in which every block is known, and the recording that a tracer would make of it.

use leakhound_report::recording::{
    Cohort, End, FORMAT, Frame, Header, Process, Record, Recording, Settings, Snapshot, Stack, StackCounters,
};

/// A tracer has numbers for so many cohorts; the last goes on.
const COHORTS: u32 = 32;

/// One block: when it came, when it went, and how large it is.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub(crate) born: f64,
    /// Infinite when it is never freed.
    pub(crate) died: f64,
    pub(crate) bytes: u64,
}

/// How a recording is made.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    pub(crate) snapshots: u32,
    /// Seconds between snapshots.
    pub(crate) interval: f64,
    /// A text log has none.
    pub(crate) cohorts: bool,
}

impl Watch {
    pub(crate) fn duration(self) -> f64 {
        f64::from(self.snapshots) * self.interval
    }
}

/// The recording of a program with these stacks, each a list of its blocks.
pub(crate) fn record(stacks: &[Vec<Block>], watch: Watch) -> Recording {
    let intervals = watch.snapshots.div_ceil(COHORTS);
    let cohort_seconds = f64::from(intervals) * watch.interval;
    let settings = Settings {
        duration_ns: nanoseconds(watch.duration()),
        interval_ns: nanoseconds(watch.interval),
        cohort_ns: nanoseconds(cohort_seconds),
        ..Settings::default()
    };
    let mut recording = Recording::new(Header { format: FORMAT.to_owned(), settings, ..Header::default() });
    for id in 0..stacks.len() {
        recording.push(Record::Stack(stack(id)));
    }
    let mut before = vec![StackCounters::default(); stacks.len()];
    for number in 1..=watch.snapshots {
        let now = f64::from(number) * watch.interval;
        let counters =
            stacks.iter().enumerate().map(|(id, blocks)| count(id, blocks, now, cohort_seconds, watch));
        let counters: Vec<StackCounters> = counters.collect();
        let changed = counters.iter().zip(&before).filter(|(now, before)| now != before);
        let changed: Vec<StackCounters> =
            changed.map(|(now, before)| only_changed_cohorts(now, before)).collect();
        let live: u64 = counters.iter().map(|counters| counters.live_bytes).sum();
        let process = Process {
            pid: 1,
            rss_bytes: (5 << 20) + live,
            anonymous_bytes: (3 << 20) + live,
            ..Process::default()
        };
        recording.push(Record::Snapshot(Snapshot {
            time_ns: nanoseconds(now),
            processes: vec![process],
            stacks: changed,
            ..Snapshot::default()
        }));
        before = counters;
    }
    recording.push(Record::End(End { time_ns: nanoseconds(watch.duration()), ..End::default() }));
    recording
}

fn count(id: usize, blocks: &[Block], now: f64, cohort_seconds: f64, watch: Watch) -> StackCounters {
    let mut counters = StackCounters { id: id as u32, ..StackCounters::default() };
    let mut cohorts = vec![Cohort::default(); COHORTS as usize];
    for block in blocks.iter().filter(|block| block.born < now) {
        let live = u64::from(block.died > now);
        counters.allocated_bytes += block.bytes;
        counters.allocated_count += 1;
        counters.live_bytes += live * block.bytes;
        counters.live_count += live;
        let cohort = &mut cohorts[((block.born / cohort_seconds) as usize).min(COHORTS as usize - 1)];
        cohort.allocated_bytes += block.bytes;
        cohort.live_bytes += live * block.bytes;
    }
    if watch.cohorts {
        let numbered = cohorts
            .into_iter()
            .enumerate()
            .map(|(number, cohort)| Cohort { number: number as u32, ..cohort });
        counters.cohorts = numbered.filter(|cohort| cohort.allocated_bytes > 0).collect();
    }
    counters
}

fn only_changed_cohorts(now: &StackCounters, before: &StackCounters) -> StackCounters {
    let changed = |cohort: &&Cohort| !before.cohorts.contains(cohort);
    StackCounters { cohorts: now.cohorts.iter().filter(changed).copied().collect(), ..now.clone() }
}

fn stack(id: usize) -> Stack {
    let named = |function: String| Frame { function: Some(function), ..Frame::default() };
    let frames = vec![named(format!("function_{id}")), named("main".to_owned())];
    Stack { id: id as u32, frames, cut_short: None }
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}
