//! Waiting for a named condition, with a deadline: nothing here sleeps for luck.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

/// Tries until the condition holds, and says after the deadline what was waited for and what stood in the way last.
///
/// # Errors
/// The last error of the attempt, with the condition's name.
pub async fn until<T>(
    condition: &str,
    deadline: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(20);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= end => {
                return Err(error)
                    .with_context(|| format!("waited {} s until {condition}", deadline.as_secs()));
            }
            Err(_) => sleep(pause).await, // only the last one tells anything
        }
        pause = (pause * 2).min(Duration::from_millis(500));
    }
}
