//! Growth that accuses: blocks that stay, and live bytes that go up and up.

use crate::{amount, recording::Mode};

use super::{
    Class, Decision, ENOUGH_SNAPSHOTS, Observation, Thirds, bytes, decision, nothing_freed, rising, traffic,
    trend,
};

/// The decisive evidence of a leak: cohort after cohort leaves blocks behind that are not freed any more.
pub(super) fn blocks_stay(o: &Observation<'_>) -> Option<Decision> {
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

/// It grew because there was more to do; nobody can tell whether that goes on.
pub(super) fn more_traffic(o: &Observation<'_>) -> Option<Decision> {
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

/// Live bytes went up and up. With cohorts that say otherwise, only where nothing else can explain it: a queue that falls
/// behind or a buffer made ever larger is made of young blocks.
pub(super) fn steady_growth(o: &Observation<'_>) -> Option<Decision> {
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
pub(super) fn short_growth(o: &Observation<'_>) -> Option<Decision> {
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
