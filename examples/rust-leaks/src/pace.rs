//! Arguments and heartbeat of the Rust examples, the twin of `pace.h`.

use std::env;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

/// Runs rounds at a rate for a time: `PROGRAM [ROUNDS_PER_SECOND [SECONDS [VARIANT]]]`.
pub struct Pace {
    rate: f64,
    seconds: f64,
    variant: String,
    round: u64,
    started: Instant,
}

impl Pace {
    /// The arguments given, or else the defaults. A rate of 0 is as fast as possible, 0 seconds is for ever.
    pub fn from_arguments(rate: f64, seconds: f64) -> Self {
        let mut arguments = env::args().skip(1);
        let rate = arguments.next().map_or(rate, number_or_exit);
        let seconds = arguments.next().map_or(seconds, number_or_exit);
        let variant = arguments.next().unwrap_or_default();
        Self { rate, seconds, variant, round: 0, started: Instant::now() }
    }

    /// The third argument, empty when absent.
    #[allow(dead_code, reason = "not every example has variants")]
    pub fn variant(&self) -> &str {
        &self.variant
    }

    /// Waits for the next round and gives its number, from 1; nothing when the time is over.
    pub fn next_round(&mut self) -> Option<u64> {
        let elapsed = self.started.elapsed().as_secs_f64();
        if self.seconds > 0.0 && elapsed >= self.seconds {
            return None;
        }
        let early = if self.rate > 0.0 { self.round as f64 / self.rate - elapsed } else { 0.0 };
        if early > 0.0 {
            thread::sleep(Duration::from_secs_f64(early));
        }
        self.round += 1;
        Some(self.round)
    }
}

fn number_or_exit(text: String) -> f64 {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0).unwrap_or_else(|| {
        eprintln!("\"{text}\" is no number: PROGRAM [ROUNDS_PER_SECOND [SECONDS [VARIANT]]]");
        process::exit(2);
    })
}
