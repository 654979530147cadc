//! From one stack's numbers to its class: a chain of checks, the first that applies decides.

use crate::{amount, recording::Mode};

use super::{
    Class,
    observation::Observation,
    saturation::Thirds,
    sawtooth, step, traffic,
    trend::{self, Slope},
};

/// A class and why, for a person.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    pub(super) class: Class,
    pub(super) because: String,
    /// How fast it grows: what stays when that decided, else all live bytes.
    pub(super) slope: Option<Slope>,
}

type Check = fn(&Observation<'_>) -> Option<Decision>;

/// The checks in their order. Blocks that stay come first, because churn can hide a leak from every check on live bytes
/// and a leak can hide behind every shape of them; shapes come before growth, because most of them grow too.
const CHECKS: &[(&str, Check)] = &[
    ("too few snapshots", too_short),
    ("nothing was live", never_live),
    ("its frees go unseen", frees_unseen),
    ("blocks stay", blocks_stay),
    ("sawtooth with rising valleys", rising_sawtooth),
    ("sawtooth", sawtooth),
    ("came and went", transient),
    ("jumps", jumps),
    ("slowing down", saturating),
    ("level", level),
    ("more traffic", more_traffic),
    ("steady growth", steady_growth),
    ("growth in a short recording", short_growth),
];

/// The class of a stack.
pub(super) fn classify(o: &Observation<'_>) -> Decision {
    let decision = CHECKS.iter().find_map(|(_, check)| check(o)).unwrap_or_else(|| {
        let (from, to) = o.ends();
        let because = if to > from {
            format!(
                "It grew from {} to {}, in {} of the steps between snapshots: neither steadily nor in any way that explains it.",
                bytes(from),
                bytes(to),
                amount::percent(o.growing_share)
            )
        } else {
            format!(
                "It went from {} to {}, neither steadily nor in any way that explains it.",
                bytes(from),
                bytes(to)
            )
        };
        decision(o, Class::Inconclusive, because)
    });
    match (o.mode, decision.class) {
        (Mode::Growth, Class::Leak | Class::Suspected) => suspect_pages(&decision),
        _ => decision,
    }
}

/// Pages that stay are no proof: the allocator or garbage collector above them may have all of their blocks back.
fn suspect_pages(decision: &Decision) -> Decision {
    let said = decision.because.trim_end_matches('.');
    let because = format!("{said}; this mode sees pages given back, but not blocks freed within them.");
    Decision { class: Class::Suspected, because, slope: decision.slope }
}

fn decision(o: &Observation<'_>, class: Class, because: String) -> Decision {
    Decision { class, because, slope: o.slope }
}

/// Snapshots below which nothing is said at all.
const FEWEST_SNAPSHOTS: usize = 3;
/// Snapshots from which live bytes alone can show a steady growth: a trend in fewer may be chance.
const ENOUGH_SNAPSHOTS: usize = 8;

fn too_short(o: &Observation<'_>) -> Option<Decision> {
    let recorded = o.grid.recorded;
    if recorded >= FEWEST_SNAPSHOTS {
        return None;
    }
    Some(decision(
        o,
        Class::Inconclusive,
        format!(
            "{} too few to tell growth from chance.",
            amount::counted(recorded, "snapshot is", "snapshots are")
        ),
    ))
}

fn never_live(o: &Observation<'_>) -> Option<Decision> {
    if o.highest() > 0.0 {
        return None;
    }
    Some(decision(o, Class::Transient, "All of it was freed before a snapshot could see it.".to_owned()))
}

/// Its blocks are freed in a way that cannot be seen, so those that seem to stay may be gone as well.
fn frees_unseen(o: &Observation<'_>) -> Option<Decision> {
    const FEW: u64 = 3;
    const SHARE: f64 = 0.02;
    let (missed, allocated) = (o.last.missed_frees, o.last.allocated_count);
    (missed >= FEW && missed as f64 >= SHARE * allocated as f64).then(|| {
        let because = format!(
            "{missed} of its {allocated} blocks were freed without being seen to be, so nobody can tell which of the others are."
        );
        decision(o, Class::Inconclusive, because)
    })
}

/// The decisive evidence of a leak: cohort after cohort leaves blocks behind that are not freed any more.
fn blocks_stay(o: &Observation<'_>) -> Option<Decision> {
    /// Cohorts that have to leave something behind before we call it a leak, and their share of all.
    const LEAK: (usize, f64) = (6, 0.3);
    /// The same before we suspect one: fewer, but then nearly each.
    const SUSPICION: (usize, f64) = (3, 0.75);
    let residue = o.residue.as_ref()?;
    let since = residue.left.iter().position(|left| *left > 0.0)?;
    let (ends, left) = (&residue.ends[since..], &residue.left[since..]);
    let leaving = left.iter().filter(|left| **left > 0.0).count();
    let share = leaving as f64 / left.len() as f64;
    let recent = left.len().div_ceil(3).max(2).min(left.len());
    let stopped = left[left.len() - recent..].iter().all(|left| *left <= 0.0);
    let grown = sums(left);
    if stopped || dies_down(ends, left, &grown) {
        return None;
    }
    let class = match (leaving, share) {
        enough if enough.0 >= LEAK.0 && enough.1 >= LEAK.1 => Class::Leak,
        enough if enough.0 >= SUSPICION.0 && enough.1 >= SUSPICION.1 => Class::Suspected,
        _ => return None,
    };
    let because = match residue.survival().unwrap_or_default() {
        survival if survival > 0.995 => {
            format!("Nothing that it allocated was freed, in {leaving} of {} stretches of time.", left.len())
        }
        survival => format!(
            "Of what it allocates {} stay: what has lived for {} is not freed any more, in {leaving} of {} stretches of time.",
            amount::percent(survival),
            amount::seconds((residue.cut as f64 + 0.5) * o.grid.step()),
            left.len()
        ),
    };
    Some(Decision { slope: trend::theil_sen(ends, &grown), ..decision(o, class, because) })
}

/// Running sums.
fn sums(values: &[f64]) -> Vec<f64> {
    let add = |sum: &mut f64, value: &f64| {
        *sum += value;
        Some(*sum)
    };
    values.iter().scan(0.0, add).collect()
}

/// Ever less is left behind: what fills up is no leak.
fn dies_down(ends: &[f64], left: &[f64], grown: &[f64]) -> bool {
    let falling = trend::mann_kendall(left).is_some_and(|trend| !trend.rising && trend.p_value < 0.05);
    falling && Thirds::of(ends, grown).is_some_and(Thirds::slow_down)
}

/// Purges that do not get everything: the sawtooth stands on a slope.
fn rising_sawtooth(o: &Observation<'_>) -> Option<Decision> {
    let slope = o.slope?.per_second;
    let line = o.grid.seconds.iter().map(|second| slope * (second - o.grid.seconds[0]));
    let teeth: Vec<f64> = o.live.iter().zip(line).map(|(live, line)| live - line).collect();
    let lowest = teeth.iter().copied().fold(f64::MAX, f64::min);
    let found = sawtooth::find(&teeth.iter().map(|value| value - lowest).collect::<Vec<_>>())?;
    let valleys: Vec<f64> = found.valleys.iter().map(|at| o.live[*at]).collect();
    let rises: Vec<f64> = valleys.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (rise, first, last) = (rises.iter().sum::<f64>(), rises.first()?, rises.last()?);
    // What purges leave of a cache comes to a level after a few of them.
    let goes_on = rises.len() >= 2 && rises.iter().all(|rise| *rise > 0.0) && *last >= first / 2.0;
    // Steps minus their slope look like teeth, but nothing is purged there.
    let purged = found.valleys.iter().all(|at| o.live[*at - 1] > o.live[*at]);
    let nothing_stays = o.residue.as_ref().is_some_and(|residue| residue.bytes() <= 0.0);
    if nothing_stays || !goes_on || !purged || rise < 0.35 * found.range || found.range < 0.1 * o.highest() {
        return None;
    }
    let because = format!(
        "It was purged {}, but each time less thoroughly: the low points rose by {}.",
        amount::counted(found.purges, "time", "times"),
        bytes(rise)
    );
    Some(decision(o, Class::Suspected, because))
}

fn sawtooth(o: &Observation<'_>) -> Option<Decision> {
    let found = sawtooth::find(&o.live)?;
    Some(decision(
        o,
        Class::Sawtooth,
        format!(
            "It grew and was purged {}, and purges bring it back down.",
            amount::counted(found.purges, "time", "times")
        ),
    ))
}

fn transient(o: &Observation<'_>) -> Option<Decision> {
    let (_, end) = o.ends();
    // What only one snapshot saw was no stay.
    let stayed = o.live.windows(2).map(|pair| pair[0].min(pair[1])).fold(0.0, f64::max);
    if end > 0.2 * stayed {
        return None;
    }
    let because =
        format!("It came and went: at most {} were live, {} in the end.", bytes(o.highest()), bytes(end));
    Some(decision(o, Class::Transient, because))
}

fn jumps(o: &Observation<'_>) -> Option<Decision> {
    let (from, to) = o.ends();
    let jumps = step::find(&o.live)?.jumps;
    let start_up =
        o.grid.seconds.partition_point(|second| *second <= o.grid.seconds[0] + o.grid.duration() / 3.0);
    if to - from < 0.1 * o.highest() {
        return None;
    }
    if o.live[start_up - 1] >= 0.9 * to {
        return Some(decision(
            o,
            Class::Plateau,
            format!("It reached {} early and stayed there.", bytes(to)),
        ));
    }
    match jumps.len() {
        1 => Some(decision(o, Class::Step, format!("It grew once, by {}.", bytes(to - from)))),
        all => {
            Some(decision(o, Class::Step, format!("It grew in {all} jumps, by {} in all.", bytes(to - from))))
        }
    }
}

fn saturating(o: &Observation<'_>) -> Option<Decision> {
    let thirds = o.thirds.filter(|thirds| thirds.slow_down())?;
    let still_growing = thirds.last > (0.01 * o.highest()).max(2.0 * o.noise);
    if !still_growing || !rising(o, 0.05) {
        return None;
    }
    let because = format!(
        "Its growth slows down: {} in the first third of the time, {} in the last.",
        bytes(thirds.first),
        bytes(thirds.last)
    );
    Some(decision(o, Class::Saturating, because))
}

/// No growth worth the name, or none any more.
fn level(o: &Observation<'_>) -> Option<Decision> {
    let (from, to) = o.ends();
    let half = o.live.len() / 2;
    let (seconds, tail) = (&o.grid.seconds[half..], &o.live[half..]);
    let tail_rises = trend::mann_kendall(tail).is_some_and(|trend| trend.rising && trend.p_value < 0.05);
    let tail_growth = trend::theil_sen(seconds, tail)
        .map_or(0.0, |slope| slope.per_second * (seconds[seconds.len() - 1] - seconds[0]));
    let small = tail_growth <= (0.05 * o.highest()).max((to - from) / 4.0);
    let nothing_stays = o.residue.as_ref().is_some_and(|residue| residue.bytes() <= 0.0);
    let ended = (!tail_rises || nothing_stays) && small && tail.len() >= 3 && !o.grew_every_snapshot;
    let negligible =
        tail_growth <= 0.01 * o.highest() && to - from <= 0.05 * o.highest() && !o.grew_every_snapshot;
    if rising(o, 0.05) && !ended && !negligible {
        return None;
    }
    if !rising(o, 0.05) && o.grew_every_snapshot {
        return None; // too few snapshots for a trend, and every one of them higher
    }
    let swings = o.noise > 0.02 * o.highest();
    let because = match (swings, to - from > 0.1 * o.highest()) {
        (_, true) => format!("It reached {} and stayed there.", bytes(to)),
        (true, false) => format!("It swings around {} without a trend.", bytes(trend::median(&o.live))),
        (false, false) => format!("It stayed at {} all the time.", bytes(trend::median(&o.live))),
    };
    Some(decision(o, Class::Plateau, because))
}

/// It grew because there was more to do; nobody can tell whether that goes on.
fn more_traffic(o: &Observation<'_>) -> Option<Decision> {
    let (from, to) = o.ends();
    let traffic::Traffic { before, after } = traffic::explains(o)?;
    let because = format!(
        "It grew from {} to {} because ever more blocks were allocated, {before:.0} and later {after:.0} a second: each lives as \
         long as before.",
        bytes(from),
        bytes(to)
    );
    Some(decision(o, Class::Inconclusive, because))
}

/// Each block that was ever counted is live.
fn nothing_freed(o: &Observation<'_>) -> bool {
    o.last.allocated_count > 0 && o.last.live_count >= o.last.allocated_count
}

/// Live bytes went up and up. With cohorts that say otherwise, only where nothing else can explain it: a queue that falls
/// behind or a buffer made ever larger is made of young blocks.
fn steady_growth(o: &Observation<'_>) -> Option<Decision> {
    let (from, to) = o.ends();
    if o.grid.recorded < ENOUGH_SNAPSHOTS || !rising(o, 0.01) || to - from < 3.0 * o.noise {
        return None;
    }
    let always = o.grew_every_snapshot || o.growing_share >= 0.9;
    let because = format!(
        "It grew from {} to {}, in {} of the steps between snapshots",
        bytes(from),
        bytes(to),
        amount::percent(o.growing_share)
    );
    match (o.mode, o.has_cohorts) {
        (Mode::Growth, _) => Some(decision(o, Class::Suspected, format!("{because}."))),
        (_, true) if always || (o.growing_share >= 0.7 && rising(o, 0.0001)) => Some(decision(
            o,
            Class::Suspected,
            match nothing_freed(o) {
                true => format!(
                    "{because}, and nothing of it was freed, but too short a time was watched to see what stays."
                ),
                false => format!(
                    "{because}, although single blocks are freed: a queue that falls behind, or a buffer made ever larger."
                ),
            },
        )),
        (_, false) if always && o.grid.recorded >= 10 => {
            Some(decision(o, Class::Leak, format!("{because}.")))
        }
        (_, false) if o.growing_share >= 0.6 => Some(decision(o, Class::Suspected, format!("{because}."))),
        _ => None,
    }
}

/// The base rule in a recording too short for statistics: it grew in every snapshot, and in proportion to the time.
fn short_growth(o: &Observation<'_>) -> Option<Decision> {
    let (from, to) = o.ends();
    let (Some(first), Some(last)) = (o.grid.seconds.first(), o.grid.seconds.last()) else { return None };
    // Live bytes begin at 0 with the probes, so a steady leak is as many times larger as it is older.
    let in_proportion = from <= 0.0 || to / from >= 0.5 * last / first.max(f64::MIN_POSITIVE);
    if !o.grew_every_snapshot || !in_proportion {
        return None;
    }
    let because = format!(
        "It grew from {} to {}, in every one of {} snapshots; that is too short to be sure.",
        bytes(from),
        bytes(to),
        o.grid.recorded
    );
    Some(decision(o, Class::Suspected, because))
}

fn rising(o: &Observation<'_>, p_value: f64) -> bool {
    o.trend.is_some_and(|trend| trend.rising && trend.p_value < p_value)
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
