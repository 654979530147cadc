//! The first record of a recording.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leakhound_report::recording::{self, Header, Host};

use super::{Plan, watch::Watch};
use crate::{locate::Target, modules::Modules, process::ProcessId, sampling::Period};

/// What is asked, of whom, and how it is measured.
pub(super) fn header(
    plan: &Plan<'_>,
    target: &Target,
    ids: &[ProcessId],
    watch: &dyn Watch,
    modules: &Modules,
) -> Header {
    let settings = plan.settings;
    let first = ids.first();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    Header {
        format: recording::FORMAT.to_owned(),
        mode: watch.mode(),
        started_unix_ms: now.and_then(|now| u64::try_from(now.as_millis()).ok()),
        target: recording::Target {
            pids: ids.iter().map(|id| id.pid).collect(),
            command: first.map_or_else(machine, |id| id.command()),
            container: plan.container.clone(),
            memory_limit_bytes: target.memory(first.copied()).and_then(|memory| memory.limit),
            ..recording::Target::default()
        },
        settings: recording::Settings {
            duration_ns: nanoseconds(settings.duration),
            interval_ns: nanoseconds(settings.interval),
            min_size_bytes: settings.min_size,
            sample_period_bytes: settings.sample.map_or(0, Period::bytes),
            cohort_ns: nanoseconds(settings.cohort()),
        },
        host: Host {
            kernel: plan.capabilities.kernel.clone(),
            architecture: plan.capabilities.architecture.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attach: watch.attached_by().to_owned(),
        },
        allocators: watch.allocators(modules),
        ..Header::default()
    }
}

/// What stands for a command when the whole machine is watched.
fn machine() -> String {
    format!("the kernel of {}", rustix::system::uname().nodename().to_string_lossy())
}

/// As recordings hold it.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
