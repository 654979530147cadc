//! From the classes of all stacks, the memory of the process and the doubts to one verdict: a chain of checks, the first
//! that applies decides. None may say more than the recording can bear.

mod blame;
mod memory;
mod nothing;

use crate::{
    amount,
    recording::{EventKind, Mode, Recording, Source},
};

use super::{
    Class, FEWEST_SNAPSHOTS, Finding, GOOD_SNAPSHOTS, TimelinePoint, Totals, Verdict, VerdictName, classify,
    confidence::Doubts, limit, observation::Observation, reconcile::Reconciliation, retention, trend::Slope,
    turnover::Turnover,
};

/// Everything a verdict rests on.
pub(super) struct Case<'a> {
    pub(super) recording: &'a Recording,
    pub(super) timeline: &'a [TimelinePoint],
    pub(super) totals: &'a Totals,
    pub(super) peak_live: u64,
    /// All findings, the most suspicious first.
    pub(super) findings: &'a [Finding],
    /// Stacks without a trend that leave a few blocks behind now and then.
    pub(super) stragglers: usize,
    /// The live bytes of all stacks together, looked at like one stack.
    pub(super) whole: &'a Observation<'a>,
    pub(super) memory: Option<&'a Reconciliation>,
    pub(super) turnover: Option<Turnover>,
    pub(super) doubts: &'a Doubts,
}

impl Case<'_> {
    /// An option as it is written where this was asked for: on the command line, or in the spec of an investigation.
    pub(super) fn option(&self, typed: &'static str, in_spec: &'static str) -> &'static str {
        if self.recording.header.target.pod.is_none() { typed } else { in_spec }
    }

    pub(super) fn sample_option(&self) -> &'static str {
        self.option("--sample", "spec.sampling.bytesPerSample")
    }

    pub(super) fn growth_option(&self) -> &'static str {
        self.option("--mode growth", "spec.mode: Growth")
    }
}

/// A verdict before doubts are taken off: name, confidence in percent, reasons.
type Opinion = (VerdictName, u8, Vec<String>);
type Check = fn(&Case<'_>) -> Option<Opinion>;

/// The checks in their order: first what forbids any verdict, then what explains most of the memory.
const CHECKS: &[(&str, Check)] = &[
    ("too short", too_short),
    ("not to be trusted", not_to_be_trusted),
    ("no growth at all", nothing::did_not_grow),
    ("old memory turned over", turnover),
    ("far more memory outside", memory::mostly_off_heap),
    ("nothing seen", nothing::nothing_seen),
    ("leak", blame::leak),
    ("strong suspicion", blame::strong_suspicion),
    ("kept by the allocator", memory::retained),
    ("outside the allocators", memory::off_heap),
    ("growth without a name", unexplained),
    ("too coarse a sample", memory::too_coarse),
];

/// Less sure than this, a leak is possible and not likely.
const LIKELY_PERCENT: u8 = 50;

/// The verdict on the whole target.
pub(super) fn verdict(case: &Case<'_>) -> Verdict {
    let (name, mut confidence, mut reasons) =
        CHECKS.iter().find_map(|(_, check)| check(case)).unwrap_or_else(|| nothing::nothing_grew(case));
    if !matches!(name, VerdictName::OffHeapGrowth | VerdictName::AllocatorRetention) {
        reasons.extend(case.memory.and_then(Reconciliation::sentence)); // these two have said it better
    }
    if let (VerdictName::NoLeakObserved | VerdictName::Inconclusive, Some(reason)) =
        (name, memory::elsewhere(case))
    {
        reasons.push(reason);
        confidence = confidence.min(60);
    }
    reasons.extend(cannot_tell(case.recording).map(str::to_owned));
    if case.recording.events.iter().any(|event| event.what == EventKind::OutOfMemory) {
        reasons
            .push("The kernel killed a process of the target for lack of memory during the run.".to_owned());
    }
    reasons.extend(ended_early(case.recording));
    reasons.extend(case.doubts.deductions.iter().map(|(_, reason)| reason.clone()));
    let confidence_percent =
        if name == VerdictName::Inconclusive { 0 } else { case.doubts.lower(confidence) };
    let name = if name == VerdictName::LeakLikely && confidence_percent < LIKELY_PERCENT {
        reasons.push("It looks like a leak, and is called none, as that is less than half sure.".to_owned());
        VerdictName::GrowthUnexplained
    } else {
        name
    };
    let limit = limit::until(case.recording, case.timeline, leak_rate(case));
    Verdict {
        name,
        confidence_percent,
        reasons,
        seconds_to_limit: limit.map(|limit| limit.seconds),
        seconds_to_limit_interval: limit.map(|limit| limit.interval),
    }
}

/// That the target ended before its time, and how, where that is known.
fn ended_early(recording: &Recording) -> Option<String> {
    let end = recording.end.as_ref().filter(|end| end.reason == "targetExited")?;
    let who = if recording.header.target.launched { "program" } else { "target" };
    let after = amount::seconds(recording.duration_ns() as f64 / 1e9);
    let asked = amount::seconds(recording.header.settings.duration_ns as f64 / 1e9);
    let how = end.ended_with.as_ref().map_or(String::new(), |how| format!(", with {how}"));
    Some(format!("The {who} ended before the time was over, after {after} of {asked}{how}."))
}

/// What no verdict of this mode can tell.
fn cannot_tell(recording: &Recording) -> Option<&'static str> {
    match (recording.header.mode, recording.header.source) {
        (Mode::Growth, _) => Some(
            "Growth mode sees pages that the program takes and gives back, not blocks: whether what grew is leaked, cached, or \
             kept by an allocator or garbage collector, it cannot tell. Heap mode can where malloc or its like is used.",
        ),
        (Mode::Kernel, Source::Leakhound) => Some(
            "Memory that the kernel takes back by itself, such as page cache and inodes, and the pages of programs are left out.",
        ),
        _ => None,
    }
}

/// What leaks and what is suspected to, together, with the sums of their bounds.
fn leak_rate(case: &Case<'_>) -> Slope {
    let none = Slope { per_second: 0.0, low: 0.0, high: 0.0 };
    alarms(case).fold(none, |sum, finding| {
        let rate = finding.growth_bytes_per_hour.max(0.0) / 3600.0;
        let interval = finding.evidence.slope_interval_bytes_per_hour;
        let (low, high) = interval.map_or((rate, rate), |(low, high)| (low / 3600.0, high / 3600.0));
        Slope {
            per_second: sum.per_second + rate,
            low: sum.low + low.max(0.0).min(rate),
            high: sum.high + high.max(rate),
        }
    })
}

fn too_short(case: &Case<'_>) -> Option<Opinion> {
    let count = case.recording.snapshots.len();
    let let_go = case.recording.end.as_ref().is_some_and(|end| end.reason == "budget");
    let reason = if let_go {
        let watched = amount::seconds(case.recording.duration_ns() as f64 / 1e9);
        let cheaper = match case.recording.header.mode {
            Mode::Heap => format!(
                ", so does a sample ({}), and growth mode ({}) needs no probes",
                case.sample_option(),
                case.growth_option()
            ),
            Mode::Kernel if case.recording.header.target.pids.is_empty() => {
                ", and one target (--pid, --container) costs less".to_owned()
            }
            Mode::Kernel | Mode::Growth => String::new(),
        };
        let budget = case.option("--budget", "spec.budget.cpuPercent");
        format!(
            "Watching ended after {watched}, as it cost more than its budget: a longer time would not help. A larger budget \
             ({budget}) goes on{cheaper}."
        )
    } else {
        format!(
            "{} too few to tell growth from chance: at least {FEWEST_SNAPSHOTS} are needed, {GOOD_SNAPSHOTS} are good.",
            amount::counted(count, "snapshot is", "snapshots are")
        )
    };
    (count < FEWEST_SNAPSHOTS).then(|| (VerdictName::Inconclusive, 0, vec![reason]))
}

fn not_to_be_trusted(case: &Case<'_>) -> Option<Opinion> {
    let fatal = &case.doubts.fatal;
    (!fatal.is_empty()).then(|| (VerdictName::Inconclusive, 0, fatal.clone()))
}

fn turnover(case: &Case<'_>) -> Option<Opinion> {
    case.turnover.map(|turnover| (VerdictName::Inconclusive, 0, vec![turnover.sentence()]))
}

fn unexplained(case: &Case<'_>) -> Option<Opinion> {
    const WORTH_A_WORD: u64 = 64 << 10;
    let whole = case.timeline.last()?.live_bytes.saturating_sub(case.timeline.first()?.live_bytes);
    let grown = |finding: &&Finding| {
        let grown = finding.last_live_bytes.saturating_sub(finding.first_live_bytes);
        let again = finding.class != Class::Step
            || finding.evidence.growing_share * case.recording.snapshots.len() as f64 >= 2.0;
        let error = finding.live_error_bytes.unwrap_or_default();
        match finding.class {
            Class::Suspected => true,
            _ if grown < error.saturating_mul(2) => false,
            Class::Step | Class::Inconclusive => again && grown >= WORTH_A_WORD.max(whole / 4),
            _ => false,
        }
    };
    let growing: Vec<&Finding> = case.findings.iter().filter(grown).collect();
    if let Some(first) = growing.first() {
        let confidence = if first.class == Class::Suspected { 60 } else { 50 };
        let reasons = match case.recording.header.mode {
            Mode::Growth => blame::accuse(("makes", "make"), "the program larger", &growing),
            _ if first.class == Class::Suspected => {
                blame::accuse(("grows", "grow"), "without the proof of a leak", &growing)
            }
            _ => blame::accuse(("grows", "grow"), "without a clear pattern", &growing),
        };
        return Some((VerdictName::GrowthUnexplained, confidence, reasons));
    }
    let decision = classify::classify(case.whole);
    let error = case.totals.live_error_bytes.unwrap_or_default();
    let together = decision.class == Class::Suspected && whole >= WORTH_A_WORD.max(error.saturating_mul(2));
    let reason = || {
        format!(
            "No single stack stands out, but together they grew by {}. {}",
            amount::bytes(whole),
            decision.because
        )
    };
    together.then(|| (VerdictName::GrowthUnexplained, 50, vec![reason()]))
}

fn alarms<'a>(case: &'a Case<'_>) -> impl Iterator<Item = &'a Finding> {
    case.findings.iter().filter(|finding| finding.class.is_alarm())
}

fn bytes(amount: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates; never negative"
    )]
    let whole = amount.max(0.0).round() as u64;
    amount::bytes(whole)
}

#[cfg(test)]
mod tests;
