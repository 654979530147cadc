//! What a test needs that attaches probes.

use anyhow::{Result, ensure};

/// Whether probes can be attached; where not, says so loudly, and in CI it is a failure.
///
/// # Errors
/// In CI, without the rights.
#[allow(clippy::print_stderr, reason = "a person must see what was not tested")]
pub fn can_probe() -> Result<bool> {
    let is_root = rustix::process::geteuid().is_root();
    ensure!(is_root || std::env::var_os("CI").is_none(), "this test attaches probes: run it as root");
    if !is_root {
        eprintln!("skipped: this test attaches probes and wants to be run as root");
    }
    Ok(is_root)
}
