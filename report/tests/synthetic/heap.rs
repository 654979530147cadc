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
    let mut counted: Vec<Counted> =
        (0..).zip(stacks).map(|(id, blocks)| Counted::new(id, blocks, cohort_seconds)).collect();
    for number in 1..=watch.snapshots {
        let now = f64::from(number) * watch.interval;
        let mut changed = Vec::new();
        for stack in &mut counted {
            let before = stack.counters.clone();
            stack.advance(now);
            if stack.counters != before {
                let cohorts =
                    if watch.cohorts { changed_cohorts(&stack.counters, &before) } else { Vec::new() };
                changed.push(StackCounters { cohorts, ..stack.counters });
            }
        }
        let live: u64 = counted.iter().map(|stack| stack.counters.live_bytes).sum();
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
    }
    recording.push(Record::End(End { time_ns: nanoseconds(watch.duration()), ..End::default() }));
    recording
}

/// One stack up to some moment.
struct Counted {
    counters: StackCounters,
    /// Time, cohort, bytes, and whether they come or go; the next one last.
    ahead: Vec<(f64, usize, u64, bool)>,
}

impl Counted {
    fn new(id: u32, blocks: &[Block], cohort_seconds: f64) -> Self {
        let mut ahead = Vec::with_capacity(2 * blocks.len());
        for block in blocks {
            let cohort = ((block.born / cohort_seconds) as usize).min(COHORTS as usize - 1);
            ahead.push((block.born, cohort, block.bytes, true));
            if block.died.is_finite() {
                ahead.push((block.died, cohort, block.bytes, false));
            }
        }
        ahead.sort_by(|a, b| b.0.total_cmp(&a.0));
        let cohorts = (0..COHORTS).map(|number| Cohort { number, ..Cohort::default() }).collect();
        Self { counters: StackCounters { id, cohorts, ..StackCounters::default() }, ahead }
    }

    fn advance(&mut self, now: f64) {
        let counters = &mut self.counters;
        while let Some((_, cohort, bytes, comes)) = self.ahead.pop_if(|(at, ..)| *at < now) {
            let cohort = &mut counters.cohorts[cohort];
            if comes {
                counters.allocated_bytes += bytes;
                counters.allocated_count += 1;
                counters.live_bytes += bytes;
                counters.live_count += 1;
                cohort.allocated_bytes += bytes;
                cohort.live_bytes += bytes;
            } else {
                counters.live_bytes -= bytes;
                counters.live_count -= 1;
                cohort.live_bytes -= bytes;
            }
        }
    }
}

fn changed_cohorts(now: &StackCounters, before: &StackCounters) -> Vec<Cohort> {
    let both = now.cohorts.iter().zip(&before.cohorts);
    both.filter(|(now, before)| now != before).map(|(now, _)| *now).collect()
}

fn stack(id: usize) -> Stack {
    let named = |function: String| Frame { function: Some(function), ..Frame::default() };
    let frames = vec![named(format!("function_{id}")), named("main".to_owned())];
    Stack { id: id as u32, frames, cut_short: None }
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}
