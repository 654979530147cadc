//! A line that shows that something happens.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use leakhound_tracer::investigation::Progress;

use crate::human;

/// A progress line on the terminal's error output; nothing when that is no terminal.
pub(crate) struct Line(ProgressBar);

impl Line {
    pub(crate) fn new(duration: Duration, quiet: bool, message: &'static str) -> Self {
        if quiet {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(duration.as_millis().try_into().unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
            bar.set_style(style);
        }
        bar.set_message(message);
        Self(bar)
    }

    /// Shows how far something is, and words about it.
    pub(crate) fn set(&self, elapsed: Duration, message: String) {
        self.0.set_position(elapsed.as_millis().try_into().unwrap_or(u64::MAX));
        self.0.set_message(message);
    }

    /// Shows how far an investigation of ours is.
    pub(crate) fn show(&self, progress: &Progress, duration: Duration) {
        let budget = progress.budget.map_or(String::new(), |budget| format!(" (budget {budget})"));
        let sample =
            progress.sample_period.map_or(String::new(), |period| format!(", sampled every {period}"));
        let message = format!(
            "{:.0} of {:.0} s  {} live in {} blocks  {:.0} events/s: {:.1} % of a core{budget}{sample}  (Ctrl-C ends early, with a result)",
            progress.elapsed.as_secs_f64(),
            duration.as_secs_f64(),
            human::bytes(progress.live_bytes),
            human::count(progress.live_count),
            progress.events_per_second,
            progress.share_of_core * 100.0,
        );
        self.set(progress.elapsed, message);
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
