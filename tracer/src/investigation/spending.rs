//! What watching costs while it goes on, and what is given up for the budget.

use std::time::{Duration, Instant};

use leakhound_report::recording::EventKind;

use super::{InvestigationError, flow::Run, retreat::HELD_BACK};
use crate::budget::{Allowance, Budget, Level, Spending, Step};

/// What was spent, and what may be.
pub(super) struct Purse {
    budget: Option<(Budget, Allowance)>,
    level: Level,
    began: Instant,
    looked: Instant,
    /// Calls and frees so far; `None` in modes that count otherwise.
    pub(super) events: Option<u64>,
    /// Of the last second or so.
    pub(super) recent: Recent,
}

/// Rates of the last second or so.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Recent {
    pub(super) share: f64,
    pub(super) events_per_second: f64,
}

impl Purse {
    pub(super) fn new(budget: Option<Budget>, level: Level) -> Self {
        let now = Instant::now();
        let budget = budget.map(|budget| (budget, Allowance::new(budget)));
        Self { budget, level, began: now, looked: now, events: None, recent: Recent::default() }
    }

    /// The probes went on: what is before does not count.
    pub(super) fn open(&mut self) {
        self.began = Instant::now();
        self.looked = self.began;
    }

    /// Time from one look to the next: short at first, when a busy program would soon have paid too much.
    pub(super) fn pause(&self) -> Duration {
        match self.budget {
            Some(_) if self.began.elapsed() < Duration::from_secs(2) => Duration::from_millis(50),
            Some(_) => Duration::from_millis(100),
            None => Duration::from_millis(500),
        }
    }

    /// Takes in what was spent since the last look, and says what to do about it.
    fn settle(&mut self, spending: Spending) -> Step {
        self.events = Some(self.events.unwrap_or(0) + spending.events);
        let weight = spending.seconds.min(1.0);
        let rate = if spending.seconds > 0.0 { spending.events as f64 / spending.seconds } else { 0.0 };
        self.recent.share += (spending.share - self.recent.share) * weight;
        self.recent.events_per_second += (rate - self.recent.events_per_second) * weight;
        let Some((budget, allowance)) = &mut self.budget else { return Step::Stay };
        allowance.settle(*budget, &spending);
        budget.decide(self.level, allowance, &spending)
    }
}

impl Run<'_> {
    /// Looks at the cost and lowers it when it must; `false` when only taking the probes off will do.
    pub(super) fn keep_to_budget(&mut self) -> Result<bool, InvestigationError> {
        let now = Instant::now();
        if self.held_back.is_some() && self.purse.began.elapsed() > HELD_BACK {
            self.stand()?;
        }
        let Some(spending) = self.watch.spend(now - self.purse.looked)? else { return Ok(true) };
        self.purse.looked = now;
        let step = self.purse.settle(spending);
        self.progress.share_of_core = self.purse.recent.share;
        self.progress.events_per_second = self.purse.recent.events_per_second;
        match step {
            Step::Stay => Ok(true),
            Step::Sample(period) => {
                self.watch.sample(period)?;
                self.purse.level = Level::Sample(period);
                self.progress.sample_period = Some(period);
                let detail = format!(
                    "{}: from here on a sample is followed, one block every {period} on average",
                    self.excess(spending)
                );
                self.event(EventKind::BudgetStep, None, detail)?;
                Ok(true)
            }
            Step::LetGo => {
                let detail = format!(
                    "{}, and the smallest sample would still cost {}: the probes came off. Use --budget off or a larger one to \
                     go on regardless, or --mode growth, which needs no probes.",
                    self.excess(spending),
                    percent(spending.least)
                );
                self.event(EventKind::BudgetStep, None, detail)?;
                Ok(false)
            }
        }
    }

    fn excess(&self, spending: Spending) -> String {
        let rate = if spending.seconds > 0.0 { spending.events as f64 / spending.seconds } else { 0.0 };
        let budget = self.purse.budget.map(|(budget, _)| budget.to_string()).unwrap_or_default();
        format!(
            "{rate:.0} calls and frees a second cost {} of one core, more than the budget of {budget}",
            percent(spending.share)
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
