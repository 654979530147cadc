//! Recordings made by formula: every stack behaves as it was told to, block by block and cohort by cohort.

use std::collections::BTreeMap;

use leakhound_report::recording::{
    Allocator, Block, Cohort, End, Event, EventKind, FORMAT, Frame, Header, Host, Module, Overhead, Process,
    Record, Recording, Settings, Snapshot, Source, Stack, StackCounters, Target,
};

/// How the blocks of one stack live and die. Numbers of blocks are per snapshot, times are snapshots.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// So many blocks stay for ever, and so many more are freed before the next snapshot.
    Leak { stay: u64, churn: u64 },
    /// Fills up: half of what is missing arrives every `half` snapshots.
    Saturating { blocks: u64, half: f64 },
    /// Allocated before the second snapshot, kept.
    Plateau { blocks: u64 },
    /// Grows by `step` and is emptied every `period`.
    Sawtooth { step: u64, period: u32 },
    /// Grows by `blocks` at each of two moments.
    Step { blocks: u64, at: [u32; 2] },
    /// Live for two snapshots in a stretch of time only.
    Transient { blocks: u64, from: u32, to: u32 },
    /// Every block lives for `ttl`; as many arrive as go.
    Cache { blocks: u64, ttl: u32 },
}

impl Behaviour {
    /// Blocks allocated between snapshots `cohort - 1` and `cohort`.
    fn allocated(self, cohort: u32) -> u64 {
        match self {
            Self::Leak { stay, churn } => stay + churn,
            Self::Saturating { blocks, half } => {
                let filled = |at: u32| blocks as f64 * (1.0 - 0.5_f64.powf(f64::from(at) / half));
                (filled(cohort + 1).round() - filled(cohort).round()) as u64
            }
            Self::Plateau { blocks } => {
                if cohort == 0 {
                    blocks
                } else {
                    0
                }
            }
            Self::Sawtooth { step, .. } => step,
            Self::Step { blocks, at } => {
                if at.contains(&cohort) {
                    blocks
                } else {
                    0
                }
            }
            Self::Transient { blocks, from, to } => {
                if (from..to).contains(&cohort) {
                    blocks
                } else {
                    0
                }
            }
            // A little uneven, as traffic is.
            Self::Cache { blocks, .. } => blocks + u64::from(cohort * 7919 % 5),
        }
    }

    /// How many of them are live at snapshot `now`.
    fn live(self, cohort: u32, now: u32) -> u64 {
        let allocated = self.allocated(cohort);
        let kept = match self {
            Self::Leak { stay, .. } => return if cohort == now { allocated } else { stay },
            Self::Saturating { .. } | Self::Plateau { .. } | Self::Step { .. } => true,
            Self::Sawtooth { period, .. } => cohort / period == now / period,
            Self::Transient { .. } => now - cohort < 2,
            Self::Cache { ttl, .. } => now - cohort < ttl,
        };
        if kept { allocated } else { 0 }
    }
}

/// One stack to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Planted {
    pub(crate) frames: Vec<Frame>,
    pub(crate) cut_short: Option<String>,
    /// Bytes of one block.
    pub(crate) block: u64,
    pub(crate) behaviour: Behaviour,
}

/// What is the same for all stacks of a recording.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) header: Header,
    pub(crate) modules: Vec<Module>,
    pub(crate) snapshots: u32,
    /// Resident bytes that are not the stacks', at each snapshot; absent when the source has no such numbers.
    pub(crate) beside: Option<fn(u32) -> u64>,
    pub(crate) cohorts: bool,
    pub(crate) ledger: Vec<(&'static str, u64)>,
    pub(crate) events: Vec<Event>,
    /// Absent for a recording that was cut off.
    pub(crate) end: Option<Overhead>,
}

pub(crate) const INTERVAL_NS: u64 = 10_000_000_000;
/// 23 November 2026, 01:02:11 UTC.
pub(crate) const STARTED_UNIX_MS: u64 = 1_795_395_731_000;

impl Scene {
    /// A run of `snapshots` snapshots on a program called `command`.
    pub(crate) fn of(command: &str, modules: &[&str], snapshots: u32) -> Self {
        let header = Header {
            format: FORMAT.to_owned(),
            source: Source::Leakhound,
            started_unix_ms: Some(STARTED_UNIX_MS),
            target: Target { pids: vec![4711], command: command.to_owned(), ..Target::default() },
            settings: Settings {
                duration_ns: u64::from(snapshots) * INTERVAL_NS,
                interval_ns: INTERVAL_NS,
                cohort_ns: INTERVAL_NS,
                ..Settings::default()
            },
            host: Host {
                kernel: "6.12.41".to_owned(),
                architecture: "x86_64".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                attach: "uprobe.session".to_owned(),
            },
            allocators: vec![Allocator {
                family: "glibc".to_owned(),
                module: "/usr/lib/x86_64-linux-gnu/libc.so.6".to_owned(),
                functions: ["malloc", "calloc", "realloc", "free"].map(str::to_owned).to_vec(),
            }],
            ..Header::default()
        };
        let module =
            |(id, path): (usize, &&str)| Module { id: id as u32, path: (*path).to_owned(), build_id: None };
        Self {
            header,
            modules: modules.iter().enumerate().map(module).collect(),
            snapshots,
            beside: Some(|_| 42 << 20),
            cohorts: true,
            ledger: Vec::new(),
            events: vec![event(0, EventKind::Attached, "4 functions of glibc in 7 ms")],
            end: Some(Overhead {
                attach_ns: 14_000_000,
                detach_ns: 81_000_000,
                events: 3_482_117,
                probe_ns: 812.0,
                ..Overhead::default()
            }),
        }
    }

    /// Lets `stacks` run.
    pub(crate) fn record(&self, stacks: &[Planted]) -> Recording {
        let mut recording = Recording::new(self.header.clone());
        self.modules.iter().for_each(|module| recording.push(Record::Module(module.clone())));
        for (id, planted) in stacks.iter().enumerate() {
            let (frames, cut_short) = (planted.frames.clone(), planted.cut_short.clone());
            recording.push(Record::Stack(Stack { id: id as u32, frames, cut_short }));
        }
        let mut before: Vec<StackCounters> = vec![StackCounters::default(); stacks.len()];
        for now in 0..self.snapshots {
            let mut live_bytes = 0;
            let mut changed = Vec::new();
            for (id, planted) in stacks.iter().enumerate() {
                let counters = self.counters(id as u32, planted, now);
                live_bytes += counters.live_bytes;
                let same = StackCounters { cohorts: Vec::new(), ..counters.clone() } == before[id];
                if !same {
                    before[id] = StackCounters { cohorts: Vec::new(), ..counters.clone() };
                    changed.push(counters);
                }
            }
            let share = |value: u64| value * u64::from(now + 1) / u64::from(self.snapshots);
            let ledger: BTreeMap<String, u64> =
                self.ledger.iter().map(|&(name, value)| (name.to_owned(), share(value))).collect();
            let process = self.beside.map(|beside| Process {
                pid: 4711,
                rss_bytes: live_bytes + beside(now),
                anonymous_bytes: live_bytes + beside(now) / 2,
                cpu_ns: u64::from(now) * 1_300_000_000,
                threads: 12,
                ..Process::default()
            });
            recording.push(Record::Snapshot(Snapshot {
                time_ns: u64::from(now + 1) * INTERVAL_NS,
                processes: process.into_iter().collect(),
                stacks: changed,
                ledger,
                cgroup_bytes: self.header.target.memory_limit_bytes.map(|_| live_bytes + (61 << 20)),
            }));
        }
        self.events.iter().for_each(|event| recording.push(Record::Event(event.clone())));
        if let Some(overhead) = self.end {
            let time_ns = u64::from(self.snapshots) * INTERVAL_NS;
            let blocks = if self.cohorts { blocks(stacks, self.snapshots) } else { Vec::new() };
            recording.push(Record::End(End {
                time_ns,
                reason: "duration".to_owned(),
                ended_with: None,
                overhead,
                blocks,
            }));
        }
        recording
    }

    fn counters(&self, id: u32, planted: &Planted, now: u32) -> StackCounters {
        let Planted { behaviour, block, .. } = *planted;
        let mut counters = StackCounters { id, ..StackCounters::default() };
        for cohort in 0..=now {
            let (allocated, live) = (behaviour.allocated(cohort), behaviour.live(cohort, now));
            counters.live_count += live;
            counters.allocated_count += allocated;
            let changed = cohort == now || behaviour.live(cohort, now - 1) != live;
            if self.cohorts && changed && allocated > 0 {
                let cohort =
                    Cohort { number: cohort, allocated_bytes: allocated * block, live_bytes: live * block };
                counters.cohorts.push(cohort);
            }
        }
        counters.live_bytes = counters.live_count * block;
        counters.allocated_bytes = counters.allocated_count * block;
        counters
    }
}

/// Up to eight of the oldest live blocks of each of the first twenty stacks.
fn blocks(stacks: &[Planted], snapshots: u32) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (id, planted) in stacks.iter().enumerate().take(20) {
        let cohorts = (0..snapshots).filter(|&cohort| planted.behaviour.live(cohort, snapshots - 1) > 0);
        for (n, cohort) in cohorts.take(8).enumerate() {
            blocks.push(Block {
                stack: id as u32,
                address: 0x7f3a_5800_0000
                    + (id as u64) * 0x10_0000
                    + (n as u64) * planted.block.next_multiple_of(16),
                size_bytes: planted.block,
                allocated_ns: u64::from(cohort) * INTERVAL_NS + 1_700_000_000,
                pid: 4711,
                tid: 4712 + n as u32 % 4,
            });
        }
    }
    blocks
}

/// An event of the whole target.
pub(crate) fn event(at: u32, what: EventKind, detail: &str) -> Event {
    Event { time_ns: u64::from(at) * INTERVAL_NS, pid: Some(4711), what, detail: detail.to_owned() }
}

/// A frame with a source line, in module `module`.
pub(crate) fn line(function: &str, file: &str, line: u32, module: u32) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Some(module),
        file: Some(file.to_owned()),
        line: Some(line),
        address: u64::from(line) * 16,
        ..Frame::default()
    }
}

/// A frame without source, in module `module`.
pub(crate) fn named(function: &str, module: u32) -> Frame {
    Frame { function: Some(function.to_owned()), module: Some(module), address: 0x4_2190, ..Frame::default() }
}

/// A frame of the allocator.
pub(crate) fn allocator(function: &str, module: u32) -> Frame {
    Frame { allocator: true, ..named(function, module) }
}
