//! How much of the target's time the probes may take, and what is given up to keep to it.
//!
//! ```text
//! every allocation -> a sample of them, ever coarser -> no probes at all
//! ```
//!
//! The kernel side counts and times its own runs, and a calibration at start-up says what the traps around them cost. What
//! was spent since the last look is held against the time that passed since then, however late the look is. An allowance as
//! in a savings account grows with time up to half a second of one core, so that a busy start is no reason to give anything
//! up, and a program of any speed has paid at most that before something is.
//!
//! At each look the kernel side is also given a ration of allocations to follow, which lasts until the next: when nobody
//! looks, because the machine is too busy, what is beyond it is left out and counted. What no ration can save are the
//! traps: these end when the probes come off.

mod cost;

use std::{fmt, time::Duration};

use thiserror::Error;

pub use cost::{Costs, Efforts, Spending, Traps};

use crate::sampling::Period;

/// Share of one core of the target's time that the probes may take; where the target is the machine, of each core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    of_each: f64,
    cores: u32,
}

/// No budget that could be kept.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum BudgetError {
    /// Nothing.
    #[error(
        "a budget of 0 % leaves no time to watch anything: use one such as 1%, or off to follow everything whatever it takes; --mode growth costs nothing while the program does not grow"
    )]
    Nothing,
    /// No share.
    #[error("a budget is a share of one core above 0 % and up to 100 %, such as 5%, or off")]
    NoShare,
}

/// What is followed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every allocation.
    Everything,
    /// The same, in a mode that cannot do with a sample.
    NoSample,
    /// A sample.
    Sample(Period),
}

/// What to do about the cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on.
    Stay,
    /// Follow fewer allocations from now on.
    Sample(Period),
    /// Take the probes off: that they are hit at all costs too much.
    LetGo,
}

/// Saved up at most: half a second, or what is earned in ten.
const MOST_SAVED: Duration = Duration::from_millis(500);
const SAVING_TIME: f64 = 10.0;
/// For so long the kernel side may go on by itself.
const RATION_SECONDS: f64 = 1.0;

impl Budget {
    /// A share of one core, above 0 and up to 1.
    pub fn new(share: f64) -> Result<Self, BudgetError> {
        match share {
            0.0 => Err(BudgetError::Nothing),
            share if share > 0.0 && share <= 1.0 => Ok(Self { of_each: share, cores: 1 }),
            _ => Err(BudgetError::NoShare),
        }
    }

    /// The same of each of so many cores: what everybody's work is watched for is paid by everybody.
    #[must_use]
    pub const fn of_machine(self, cores: u32) -> Self {
        Self { cores, ..self }
    }

    /// Of one core.
    pub fn share(self) -> f64 {
        self.of_each * f64::from(self.cores)
    }

    /// What to do at this level, with this much of the allowance left and at this rate of spending.
    pub fn decide(self, level: Level, allowance: &Allowance, spending: &Spending) -> Step {
        if !spending.rationed && (allowance.0 > 0.0 || spending.share <= self.share()) {
            return Step::Stay;
        }
        if spending.least > self.share() {
            return Step::LetGo;
        }
        match level {
            Level::Everything => Step::Sample(Period::FIRST_STEP),
            Level::Sample(period) if period < Period::LAST_STEP => Step::Sample(period.coarser()),
            Level::Sample(_) | Level::NoSample => Step::LetGo,
        }
    }

    /// How many allocations may be followed from now on, if nobody looks for a second: what is saved and what is earned meanwhile
    /// pays for them, when what happens anyway takes a share of `least` and one more costs so many nanoseconds.
    pub fn ration(self, allowance: &Allowance, least: f64, allocation_ns: f64) -> i64 {
        let seconds = allowance.0.max(0.0) + (self.share() - least).max(0.0) * RATION_SECONDS;
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, which is as good")]
        let allocations = (seconds * 1e9 / allocation_ns.max(1.0)) as i64;
        allocations
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} %", (self.of_each * 1e4).round() / 1e2)?;
        if self.cores > 1 { write!(to, " of each of {} cores", self.cores) } else { Ok(()) }
    }
}

/// Seconds of one core that may still be spent at once; below 0 they are owed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance(f64);

impl Allowance {
    /// As it is when the probes go on.
    pub fn new(budget: Budget) -> Self {
        Self(most_saved(budget))
    }

    /// Earns for the time that passed and pays what was spent in it. Debt is forgotten beyond what can be saved: it holds the
    /// present level for as long as that, not for the rest of the run.
    pub fn settle(&mut self, budget: Budget, spending: &Spending) {
        let change = (budget.share() - spending.share) * spending.seconds;
        let most = most_saved(budget);
        self.0 = (self.0 + change).clamp(-most, most);
    }
}

fn most_saved(budget: Budget) -> f64 {
    (budget.share() * SAVING_TIME).min(MOST_SAVED.as_secs_f64() * f64::from(budget.cores))
}

#[cfg(test)]
mod tests;
