//! From heap mode to growth mode, when any probe on the allocator costs more than the budget.
//!
//! A recording is of one mode. That a program is far too busy shows within the first seconds, so the records of heap mode are
//! held back until then: so they can still give way to those of growth mode.

use std::time::{Duration, Instant};

use leakhound_report::recording::{EventKind, Mode, Record};

use super::{InvestigationError, Observer, Plan, flow::Run};
use crate::{budget::Budget, settings::Settings};

/// Whether it is too late to give way: the probes have been on for so long, and traps alone have cost such a share of a core
/// lately. After two seconds, unless these alone are more than the budget, for then the end is only a matter of the allowance;
/// after ten at any rate, because the records of so long a time are worth more than a fresh start.
pub(super) fn is_past(elapsed: Duration, least: f64, budget: Option<Budget>) -> bool {
    let affordable = budget.is_none_or(|budget| least <= budget.share());
    elapsed > Duration::from_secs(if affordable { 2 } else { 10 })
}

impl Run<'_> {
    /// Whether another mode could take over from this one.
    pub(super) fn may_retreat(settings: &Settings) -> bool {
        settings.mode == Mode::Heap && (settings.budget.is_some() || settings.most_events.is_some())
    }

    /// Hands out what was held back: from here on it is an investigation in heap mode.
    pub(super) fn stand(&mut self) -> Result<(), InvestigationError> {
        for record in self.held_back.take().into_iter().flatten() {
            self.record(&record)?;
        }
        Ok(())
    }

    /// Watches for the rest of the time in growth mode, when there is nothing to be lost by it; `false` when that is not
    /// possible. The probes are off already.
    pub(super) fn retreat(&mut self, end: Instant) -> Result<bool, InvestigationError> {
        let left = end.saturating_duration_since(Instant::now());
        let mut steps = self.held_back.iter().flatten().filter_map(|record| match record {
            Record::Event(event) if event.what == EventKind::BudgetStep => Some(event.detail.clone()),
            _ => None,
        });
        let (Some(why), true) = (steps.next_back(), left > self.settings.interval) else { return Ok(false) };
        let settings = Settings {
            mode: Mode::Growth,
            most_events: None,
            sample: None,
            block_log: None,
            duration: left,
            ..self.settings.clone()
        };
        let capabilities = self.plan.capabilities;
        if capabilities.obstacle_to(Mode::Growth).is_some() {
            return Ok(false);
        }
        let plan = Plan { settings: &settings, capabilities, container: self.plan.container.clone() };
        let Observer { record, progress, stop } = &mut self.observer;
        let observer = Observer { record: &mut **record, progress: &mut **progress, stop };
        let mut run = match Run::start(self.target.clone(), &plan, observer) {
            Ok(run) => run,
            Err(error) => {
                tracing::debug!(%error, "growth mode does not work here either");
                return Ok(false);
            }
        };
        run.watch.costs_mut().take_over(self.watch.costs());
        let why = why.strip_suffix(self.watch.cheaper_way()).unwrap_or(&why);
        run.event(EventKind::BudgetStep, None, format!("{why}. Growth mode goes on without probes"))?;
        run.watch(None)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_traps_alone_overdraw_is_waited_for() {
        let budget = Budget::new(0.05).ok();
        for (seconds, least, expected) in [
            (1, 0.01, false),
            (3, 0.01, true),
            (3, 0.05, true),
            (3, 0.06, false),
            (9, 0.9, false),
            (11, 0.9, true),
        ] {
            let past = is_past(Duration::from_secs(seconds), least, budget);
            assert_eq!(past, expected, "{seconds} s, {least}");
        }
        assert!(is_past(Duration::from_secs(3), 0.9, None));
    }
}
