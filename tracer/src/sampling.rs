//! The period of sampling: how many bytes a program allocates, on average, from one followed block to the next.

use std::fmt;

use leakhound_ebpf::abi::SAMPLE_SHIFTS;
use thiserror::Error;

/// Mean bytes between two samples: a power of two, because the kernel side shifts where others divide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

/// No period that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a sampling period of {0} bytes cannot be used: choose 1KiB to 1GiB; 512KiB suits most programs, and without --sample every allocation is followed"
)]
pub struct PeriodError(u64);

impl Period {
    /// What suits most programs: some hundred samples per gigabyte of traffic and kind of block.
    pub const DEFAULT: Self = Self(19);
    /// The finest that a budget falls back to: coarse enough to help, fine enough to see a leak of a megabyte.
    pub const FIRST_STEP: Self = Self(15);
    /// The coarsest that a budget falls back to: beyond it a sample says too little.
    pub const LAST_STEP: Self = Self(25);

    /// The smallest power of two that is at least this.
    pub fn at_least(bytes: u64) -> Result<Self, PeriodError> {
        let shift = bytes.checked_next_power_of_two().map(u64::trailing_zeros);
        shift.filter(|shift| bytes > 0 && SAMPLE_SHIFTS.contains(shift)).map(Self).ok_or(PeriodError(bytes))
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.0
    }

    /// As the kernel side takes it.
    pub const fn shift(self) -> u32 {
        self.0
    }

    /// Four times as long: a quarter of the samples, and twice the error.
    #[must_use]
    pub const fn coarser(self) -> Self {
        Self(self.0 + 2)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ..20 => write!(to, "{} KiB", self.bytes() >> 10),
            20..30 => write!(to, "{} MiB", self.bytes() >> 20),
            _ => write!(to, "{} GiB", self.bytes() >> 30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_power_of_two_within_bounds() {
        assert_eq!(Period::at_least(512 << 10), Ok(Period::DEFAULT));
        assert_eq!(Period::at_least(500_000).map(Period::bytes), Ok(512 << 10));
        assert_eq!(Period::at_least((512 << 10) + 1).map(Period::bytes), Ok(1 << 20));
        for wrong in [0, 1, 511, (1 << 30) + 1, u64::MAX] {
            assert_eq!(Period::at_least(wrong), Err(PeriodError(wrong)));
        }
        assert_eq!(Period::at_least(1024).map(|period| period.to_string()), Ok("1 KiB".into()));
        assert_eq!(Period::at_least(1 << 30).map(|period| period.to_string()), Ok("1 GiB".into()));
        assert_eq!(Period::LAST_STEP.to_string(), "32 MiB");
    }
}
