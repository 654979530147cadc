//! From one stack's numbers to its class: a chain of checks, the first that applies decides.

mod growth;
mod sampled;
mod shapes;

use crate::{amount, recording::Mode};

use super::{
    Class, FEWEST_SNAPSHOTS,
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
    ("blocks stay", growth::blocks_stay),
    ("sawtooth with rising valleys", shapes::rising_sawtooth),
    ("sawtooth", shapes::sawtooth),
    ("came and went", shapes::transient),
    ("jumps", shapes::jumps),
    ("too few draws", sampled::few_draws),
    ("slowing down", shapes::saturating),
    ("level", shapes::level),
    ("more traffic", growth::more_traffic),
    ("steady growth", growth::steady_growth),
    ("growth in a short recording", growth::short_growth),
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

/// Snapshots from which live bytes alone can show a steady growth: a trend in fewer may be chance.
pub(super) const ENOUGH_SNAPSHOTS: usize = 8;

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

/// Each block that was ever counted is live.
fn nothing_freed(o: &Observation<'_>) -> bool {
    o.last.allocated_count > 0 && o.last.live_count >= o.last.allocated_count
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
