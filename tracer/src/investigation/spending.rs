//! What watching costs while it goes on, and what is given up for the budget.

use std::time::{Duration, Instant};

use leakhound_report::recording::EventKind;

use super::{InvestigationError, flow::Run, processor, retreat};
use crate::{
    budget::{Allowance, Budget, Level, Spending, Step},
    locate::Target,
    settings::Settings,
};

/// What was spent, and what may be.
pub(super) struct Purse {
    budget: Option<(Budget, Allowance)>,
    payer: Payer,
    most_events: Option<u64>,
    level: Level,
    began: Instant,
    looked: Instant,
    /// Of the last second or so.
    pub(super) recent: Recent,
}

/// Rates of the last second or so.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Recent {
    pub(super) share: f64,
    pub(super) least: f64,
    pub(super) events_per_second: f64,
}

/// Whose time is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payer {
    /// The target's.
    Target,
    /// That of everybody on a machine of so many cores.
    Machine(u32),
}

impl Payer {
    pub(super) fn of(target: &Target) -> Self {
        match target {
            Target::Machine => Self::Machine(processor::cores()),
            _ => Self::Target,
        }
    }

    fn budget(self, budget: Budget) -> Budget {
        match self {
            Self::Target => budget,
            Self::Machine(cores) => budget.of_machine(cores),
        }
    }
}

/// A look so soon after the last would be at a moment, not at a rate.
const TOO_SOON: Duration = Duration::from_millis(20);

impl Purse {
    pub(super) fn new(settings: &Settings, payer: Payer, may_sample: bool) -> Self {
        let level = match (settings.sample, may_sample) {
            (Some(period), _) => Level::Sample(period),
            (None, true) => Level::Everything,
            (None, false) => Level::NoSample,
        };
        let now = Instant::now();
        let budget =
            settings.budget.map(|budget| payer.budget(budget)).map(|budget| (budget, Allowance::new(budget)));
        let most_events = settings.most_events;
        Self { budget, payer, most_events, level, began: now, looked: now, recent: Recent::default() }
    }

    pub(super) fn budget(&self) -> Option<Budget> {
        self.budget.map(|(budget, _)| budget)
    }

    /// How many are allowed, when lately there were more: no sample makes them fewer.
    fn too_many(&self) -> Option<u64> {
        self.most_events.filter(|most| self.recent.events_per_second > *most as f64)
    }

    /// Time from one look to the next: short at first, when a busy program would soon have paid too much.
    pub(super) fn pause(&self) -> Duration {
        if self.budget.is_none() && self.most_events.is_none() {
            return Duration::from_millis(500);
        }
        let early = self.began.elapsed() < Duration::from_secs(2);
        Duration::from_millis(if early { 50 } else { 100 })
    }

    /// Takes in what was spent since the last look.
    fn settle(&mut self, spending: &Spending) {
        let weight = spending.seconds.min(1.0);
        self.recent.share += (spending.share - self.recent.share) * weight;
        self.recent.least += (spending.least - self.recent.least) * weight;
        self.recent.events_per_second +=
            (spending.events_per_second() - self.recent.events_per_second) * weight;
        if let Some((budget, allowance)) = &mut self.budget {
            allowance.settle(*budget, spending);
        }
    }

    /// Allocations that may be followed until the next look; `None` when there is no budget.
    fn ration(&self, allocation_ns: f64) -> Option<i64> {
        let (budget, allowance) = self.budget.as_ref()?;
        Some(budget.ration(allowance, self.recent.least, allocation_ns))
    }

    fn decide(&self, spending: &Spending) -> Step {
        let least = match self.payer {
            Payer::Target => spending.least,
            // a burst of one program's is no reason to end
            Payer::Machine(_) => spending.least.min(self.recent.least),
        };
        let spending = &Spending { least, ..*spending };
        match &self.budget {
            Some((budget, allowance)) => budget.decide(self.level, allowance, spending),
            None => Step::Stay,
        }
    }
}

impl Run<'_> {
    /// From here on costs count, and allocations are followed.
    pub(super) fn open_purse(&mut self) -> Result<(), InvestigationError> {
        self.watch.spend(Duration::ZERO)?;
        self.ration()?;
        let now = Instant::now();
        (self.purse.began, self.purse.looked) = (now, now);
        Ok(())
    }

    /// Looks at the cost and lowers it when it must; the probes come off when only that will do. To be called between any two
    /// steps of which one may take long.
    pub(super) fn look(&mut self) -> Result<(), InvestigationError> {
        if self.let_go.is_some() || self.purse.looked.elapsed() < TOO_SOON {
            return Ok(());
        }
        let spending = self.account()?;
        self.progress.share_of_core = self.purse.recent.share;
        self.progress.events_per_second = self.purse.recent.events_per_second;
        if let Some(most) = self.purse.too_many() {
            let (rate, events) = (self.purse.recent.events_per_second, self.watch.events_are());
            let detail = format!("{rate:.0} {events} a second, and {most} are allowed: the probes came off");
            // another mode may go on from here, and count anew
            (self.observer.progress)(&self.progress);
            self.event(EventKind::BudgetStep, None, detail)?;
            return self.let_go();
        }
        let spending = Spending { rationed: self.ration()?, ..spending };
        match self.purse.decide(&spending) {
            Step::Stay => {}
            Step::Sample(period) => {
                self.watch.sample(period)?;
                self.purse.level = Level::Sample(period);
                self.progress.sample_period = Some(period);
                let detail = format!(
                    "{}: from here on a sample is followed, one block every {period} on average",
                    self.excess(&spending)
                );
                self.event(EventKind::BudgetStep, None, detail)?;
            }
            Step::LetGo => return self.let_go_for_budget(&spending),
        }
        let budget = self.purse.budget();
        if self.held_back.is_some()
            && retreat::is_past(self.purse.began.elapsed(), self.purse.recent.least, budget)
        {
            self.stand()?;
        }
        Ok(())
    }

    /// Takes in what was spent since the last look, however long ago that was.
    pub(super) fn account(&mut self) -> Result<Spending, InvestigationError> {
        let now = Instant::now();
        let spending = self.watch.spend(now - self.purse.looked)?;
        self.purse.looked = now;
        self.purse.settle(&spending);
        Ok(spending)
    }

    /// Says to the kernel side how much it may follow until the next look; whether the last ration was too small.
    fn ration(&mut self) -> Result<bool, InvestigationError> {
        match self.purse.ration(self.watch.costs().allocation_ns()) {
            Some(allocations) => Ok(self.watch.side_mut().ration(allocations)?),
            None => Ok(false),
        }
    }

    fn let_go_for_budget(&mut self, spending: &Spending) -> Result<(), InvestigationError> {
        let (excess, spent) = (self.excess(spending), self.watch.costs().spent_ns() / 1e9);
        let smallest = match self.purse.level {
            Level::NoSample => String::new(),
            _ => format!(", and the smallest sample would still cost {}", percent(spending.least)),
        };
        let detail = format!(
            "{excess}{smallest}: the probes came off after {spent:.2} s of processor time. A larger budget, or none, goes on \
             regardless{}",
            self.watch.cheaper_way()
        );
        self.event(EventKind::BudgetStep, None, detail)?;
        self.let_go()
    }

    fn excess(&self, spending: &Spending) -> String {
        let budget = self.purse.budget();
        let limit = budget.map_or(f64::INFINITY, Budget::share);
        let budget = budget.map(|budget| budget.to_string()).unwrap_or_default();
        format!(
            "{:.0} {} a second cost {} of one core, {} the budget of {budget}",
            spending.events_per_second(),
            self.watch.events_are(),
            percent(spending.share),
            if spending.share > limit { "more than" } else { "with others left out to keep to" },
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_events_than_allowed_are_noticed_within_seconds_and_a_burst_is_forgiven() {
        let mut purse =
            Purse::new(&Settings { most_events: Some(10_000), ..Settings::default() }, Payer::Target, true);
        let tenth = |events_per_second: u64| Spending {
            seconds: 0.1,
            events: events_per_second / 10,
            ..Spending::default()
        };
        purse.settle(&tenth(50_000));
        assert_eq!(purse.too_many(), None, "a tenth of a second of many");
        for _ in 0..50 {
            purse.settle(&tenth(9000));
        }
        assert_eq!(purse.too_many(), None);
        for _ in 0..20 {
            purse.settle(&tenth(20_000));
        }
        assert_eq!(purse.too_many(), Some(10_000));
        assert_eq!(Purse::new(&Settings::default(), Payer::Target, true).too_many(), None);
    }

    #[test]
    fn a_burst_on_the_machine_is_sampled_and_one_of_a_program_is_let_go() {
        let budget = Budget::new(0.05).ok();
        let settings = Settings { budget, ..Settings::default() };
        let step = |payer, bursts| {
            let mut purse = Purse::new(&settings, payer, true);
            let burst = Spending { seconds: 0.1, share: 12.0, least: 0.5, ..Spending::default() };
            (0..bursts).for_each(|_| purse.settle(&burst));
            purse.decide(&burst)
        };
        assert_eq!(step(Payer::Target, 1), Step::LetGo);
        assert!(matches!(step(Payer::Machine(2), 1), Step::Sample(_)), "a tenth of a second");
        assert_eq!(step(Payer::Machine(2), 10), Step::LetGo, "a second");
    }
}
