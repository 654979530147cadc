//! Shapes of live bytes over time that have an innocent explanation, or nearly.

use crate::amount;

use super::{Class, Decision, Observation, bytes, decision, rising, sawtooth, step, trend};

/// Purges that do not get everything: the sawtooth stands on a slope.
pub(super) fn rising_sawtooth(o: &Observation<'_>) -> Option<Decision> {
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

pub(super) fn sawtooth(o: &Observation<'_>) -> Option<Decision> {
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

pub(super) fn transient(o: &Observation<'_>) -> Option<Decision> {
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

pub(super) fn jumps(o: &Observation<'_>) -> Option<Decision> {
    let (from, to) = o.ends();
    let step::Steps { jumps, share } = step::find(&o.live)?;
    let start_up =
        o.grid.seconds.partition_point(|second| *second <= o.grid.seconds[0] + o.grid.duration() / 3.0);
    let chance = o.draws.is_some_and(|draws| !draws.show_jumps(jumps.len(), share, o.live.len() - 1));
    if chance || to - from < 0.1 * o.highest() {
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

pub(super) fn saturating(o: &Observation<'_>) -> Option<Decision> {
    let thirds = o.thirds.filter(|thirds| thirds.slow_down())?;
    if o.draws.is_some_and(|draws| !draws.tell_apart(thirds.first, thirds.last)) {
        return None;
    }
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
pub(super) fn level(o: &Observation<'_>) -> Option<Decision> {
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
