//! Growth of which so few blocks were drawn that its shape may be chance.

use crate::amount;

use super::{Class, Decision, ENOUGH_SNAPSHOTS, Observation, bytes, decision, nothing_freed, rising};

/// Spread as the draws of a steady growth would be, and nothing of it freed: suspected. Else nobody can tell.
pub(super) fn few_draws(o: &Observation<'_>) -> Option<Decision> {
    let draws = o.draws.filter(|draws| !draws.are_plenty())?;
    let (from, to) = o.ends();
    let grew = o.live.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).sum::<f64>();
    if to - from < grew / 2.0 || draws.show_end(time_of_growth(o)) {
        return None;
    }
    let grown = bytes(to - from);
    let spread = o.grid.recorded >= ENOUGH_SNAPSHOTS && time_of_growth(o) > 2.0 / 3.0 && rising(o, 0.01);
    if spread && nothing_freed(o) && !draws.are_too_few() {
        let because = format!(
            "It grew by {grown}, and nothing of it was freed; about {:.0} blocks of it were drawn, as of a steady growth, which is too few to be sure. {}",
            draws.count,
            finer(draws.finer())
        );
        return Some(decision(o, Class::Suspected, because));
    }
    let because = format!(
        "It seems to grow by {grown}, but too few blocks of it were drawn (about {:.0}) to tell a steady growth from a jump. {}",
        draws.count.max(1.0),
        finer(draws.finer())
    );
    Some(decision(o, Class::Inconclusive, because))
}

/// The share of the time after which it grew no more, 0 to 1.
fn time_of_growth(o: &Observation<'_>) -> f64 {
    let last = o.live.windows(2).rposition(|pair| pair[1] > pair[0]).map_or(0, |step| step + 1);
    (o.grid.seconds[last] - o.grid.seconds[0]) / o.grid.duration()
}

fn finer(period: u64) -> String {
    format!("Sample finer (every {}), or watch for longer.", amount::bytes(period))
}
