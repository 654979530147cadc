//! What the probes cost the target: traps, measured on ourselves, and the programs' own time, measured where they run.

use std::time::Duration;

use leakhound_ebpf::abi::{Effort, EffortKind};

/// What the traps around a program cost, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Traps {
    /// At an instruction that the kernel emulates.
    pub emulated: f64,
    /// At one that it single-steps.
    pub stepped: f64,
    /// At a return.
    pub returns: f64,
}

impl Traps {
    /// Around programs on tracepoints, which trap nobody: what the kernel does before, and the look-up that says whether an
    /// event is the target's. Measured about half of this.
    pub const TRACEPOINTS: Self = Self { emulated: 100.0, stepped: 100.0, returns: 0.0 };

    fn of(self, kind: EffortKind) -> f64 {
        match kind {
            EffortKind::Call | EffortKind::Free => self.emulated,
            EffortKind::SteppedCall | EffortKind::SteppedFree => self.stepped,
            EffortKind::Return => self.returns,
        }
    }
}

/// How often and how long programs of each kind ran so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Efforts([Effort; EffortKind::ALL.len()]);

impl Efforts {
    /// From what the kernel side counted of each kind, in the order of [`EffortKind::ALL`].
    pub const fn new(of_kinds: [Effort; EffortKind::ALL.len()]) -> Self {
        Self(of_kinds)
    }

    /// Calls and frees: what a program did, however many probes that took.
    pub fn events(&self) -> u64 {
        self.pairs().filter(|(kind, _)| *kind != EffortKind::Return).map(|(_, effort)| effort.runs).sum()
    }

    fn pairs(&self) -> impl Iterator<Item = (EffortKind, Effort)> {
        EffortKind::ALL.into_iter().zip(self.0)
    }
}

/// What was spent in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spending {
    /// How long the stretch was.
    pub seconds: f64,
    /// Calls and frees in it.
    pub events: u64,
    /// Seconds of one core per second.
    pub share: f64,
    /// What it would be if no block were followed: traps, and programs that find out that there is nothing to do.
    pub least: f64,
    /// The kernel side had used up its ration, so that this may be less than was wanted.
    pub rationed: bool,
}

impl Spending {
    /// Calls and frees a second.
    pub fn events_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.events as f64 / self.seconds } else { 0.0 }
    }
}

/// From efforts to nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Costs {
    traps: Traps,
    /// The last known length of a program's run, by kind.
    programs: [f64; EffortKind::ALL.len()],
    before: Efforts,
    spent_ns: f64,
    /// Of another mode, from which this one took over.
    earlier_events: u64,
}

/// A run that draws, or looks up, and finds nothing to do: measured about half of this.
const IDLE_PROGRAM_NS: f64 = 200.0;
/// Until it is measured: one that walks a stack.
const WALK_NS: f64 = 3000.0;

impl Costs {
    /// Before anything ran.
    pub fn new(traps: Traps) -> Self {
        let programs = EffortKind::ALL.map(|kind| match kind {
            EffortKind::Return => WALK_NS,
            _ => IDLE_PROGRAM_NS,
        });
        Self { traps, programs, before: Efforts::default(), spent_ns: 0.0, earlier_events: 0 }
    }

    /// What was spent since the last call, `passed` ago.
    pub fn spend(&mut self, now: Efforts, passed: Duration) -> Spending {
        let (mut cost, mut least) = (0.0, 0.0);
        for (at, (kind, effort)) in now.pairs().enumerate() {
            let before = self.before.0[at];
            let (runs, timed) =
                (effort.runs.saturating_sub(before.runs), effort.timed.saturating_sub(before.timed));
            if timed > 0 {
                let length = effort.timed_ns.saturating_sub(before.timed_ns) as f64 / timed as f64;
                self.programs[at] = length;
            }
            let trap = self.traps.of(kind);
            cost += runs as f64 * (trap + self.programs[at]);
            if kind != EffortKind::Return {
                least += runs as f64 * (trap + self.programs[at].min(IDLE_PROGRAM_NS));
            }
        }
        let events = now.events().saturating_sub(self.before.events());
        self.before = now;
        self.spent_ns += cost;
        let seconds = passed.as_secs_f64();
        let share = |ns: f64| if seconds > 0.0 { ns / 1e9 / seconds } else { 0.0 };
        Spending { seconds, events, share: share(cost), least: share(least), rationed: false }
    }

    /// Counts in what another mode cost before this one took over.
    pub fn take_over(&mut self, earlier: &Self) {
        self.spent_ns += earlier.spent_ns;
        self.earlier_events += earlier.events();
    }

    /// Calls and frees so far.
    pub fn events(&self) -> u64 {
        self.earlier_events + self.before.events()
    }

    /// Nanoseconds of the target's time in all.
    pub fn spent_ns(&self) -> f64 {
        self.spent_ns
    }

    /// Nanoseconds that following one more allocation costs, beyond what happens anyway: its programs at both ends and at its
    /// free, and the trap at its return.
    pub fn allocation_ns(&self) -> f64 {
        let of = |kind: EffortKind| {
            let at = EffortKind::ALL.iter().position(|other| *other == kind);
            at.map_or(0.0, |at| self.programs[at])
        };
        let beyond = |kind| (of(kind) - IDLE_PROGRAM_NS).max(0.0);
        self.traps.returns
            + of(EffortKind::Return)
            + beyond(EffortKind::Call).max(beyond(EffortKind::SteppedCall))
            + beyond(EffortKind::Free).max(beyond(EffortKind::SteppedFree))
    }

    /// Mean nanoseconds per call or free so far; of a program that did nothing yet, what the traps of a call cost.
    pub fn per_event_ns(&self) -> f64 {
        match self.events() {
            0 => self.traps.emulated + self.traps.returns,
            events => self.spent_ns / events as f64,
        }
    }
}
