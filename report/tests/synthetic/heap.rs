//! A heap in which every block is known, and the recording that a tracer would make of it.

use leakhound_report::recording::{
    Cohort, End, FORMAT, Frame, Header, Process, Record, Recording, Settings, Snapshot, Stack, StackCounters,
};

/// A tracer has numbers for so many cohorts; the last goes on.
const COHORTS: u32 = 32;

/// Bytes between two draws of a sample.
const SAMPLE_PERIOD: u64 = 512 << 10;

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
    record_drawn(stacks, watch, 1.0)
}

/// The same where each of these blocks was drawn with this chance, and stands for those that were not.
pub(crate) fn record_drawn(stacks: &[Vec<Block>], watch: Watch, chance: f64) -> Recording {
    let intervals = watch.snapshots.div_ceil(COHORTS);
    let cohort_seconds = f64::from(intervals) * watch.interval;
    let settings = Settings {
        duration_ns: nanoseconds(watch.duration()),
        interval_ns: nanoseconds(watch.interval),
        cohort_ns: nanoseconds(cohort_seconds),
        sample_period_bytes: if chance < 1.0 { SAMPLE_PERIOD } else { 0 },
        ..Settings::default()
    };
    let mut recording = Recording::new(Header { format: FORMAT.to_owned(), settings, ..Header::default() });
    for id in 0..stacks.len() {
        recording.push(Record::Stack(stack(id)));
    }
    let mut counted: Vec<Counted> =
        (0..).zip(stacks).map(|(id, blocks)| Counted::new(id, blocks, cohort_seconds, chance)).collect();
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
    /// Chance of a block to be drawn.
    chance: f64,
    /// Drawn blocks that live, and came in all.
    drawn: (u64, u64),
    /// Of the live bytes.
    variance: f64,
}

impl Counted {
    fn new(id: u32, blocks: &[Block], cohort_seconds: f64, chance: f64) -> Self {
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
        Self {
            counters: StackCounters { id, cohorts, ..StackCounters::default() },
            ahead,
            chance,
            drawn: (0, 0),
            variance: 0.0,
        }
    }

    fn advance(&mut self, now: f64) {
        let counters = &mut self.counters;
        while let Some((_, cohort, bytes, comes)) = self.ahead.pop_if(|(at, ..)| *at < now) {
            let cohort = &mut counters.cohorts[cohort];
            let estimate = bytes as f64 / self.chance;
            let (bytes, variance) = (estimate.round() as u64, (1.0 - self.chance) * estimate.powi(2));
            if comes {
                counters.allocated_bytes += bytes;
                counters.live_bytes += bytes;
                self.drawn = (self.drawn.0 + 1, self.drawn.1 + 1);
                self.variance += variance;
                cohort.allocated_bytes += bytes;
                cohort.live_bytes += bytes;
            } else {
                counters.live_bytes -= bytes;
                self.drawn.0 -= 1;
                self.variance -= variance;
                cohort.live_bytes -= bytes;
            }
        }
        let blocks = |drawn: u64| (drawn as f64 / self.chance).round() as u64;
        (counters.live_count, counters.allocated_count) = (blocks(self.drawn.0), blocks(self.drawn.1));
        counters.live_error_bytes = self.variance.max(0.0).sqrt().round() as u64;
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
