//! What the kernel says a process and its cgroup use.

mod cgroup;

use leakhound_report::recording;

use crate::process::{ProcessId, Status, stat};

pub use cgroup::{CgroupMemory, cgroup_memory, folder_memory};

/// One process as the kernel accounts it; `None` when it has ended.
///
/// From the kernel's own counters (`status`, since Linux 4.5) rather than `smaps_rollup`, which gives the same figures by
/// walking all page tables under the target's memory lock: tens of milliseconds for each GiB, at every snapshot.
pub fn account(process: ProcessId) -> Option<recording::Process> {
    let stat = stat(process.pid).ok().filter(|stat| stat.starttime == process.start_ticks)?;
    let status = Status::of(process.pid).ok()?;
    let ticks = stat.utime.saturating_add(stat.stime);
    Some(recording::Process {
        pid: process.pid,
        rss_bytes: status.bytes("VmRSS")?,
        anonymous_bytes: status.bytes("RssAnon")?,
        swap_bytes: status.bytes("VmSwap").unwrap_or(0), // not written by kernels without swap
        cpu_ns: ticks.saturating_mul(1_000_000_000 / procfs::ticks_per_second().max(1)),
        threads: u32::try_from(status.number("Threads")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ourselves() -> ProcessId {
        let pid = std::process::id();
        ProcessId { pid, start_ticks: stat(pid).unwrap().starttime }
    }

    #[test]
    fn memory_that_is_touched_is_accounted() {
        let before = account(ourselves()).unwrap();
        let touched = vec![1u8; 64 << 20];
        let after = account(ourselves()).unwrap();
        assert!(after.anonymous_bytes >= before.anonymous_bytes + (60 << 20), "{before:?} {after:?}");
        assert!(after.rss_bytes >= after.anonymous_bytes && after.threads > 0);
        drop(touched);
    }

    #[test]
    fn time_that_is_spent_is_accounted() {
        let before = account(ourselves()).unwrap().cpu_ns;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while account(ourselves()).unwrap().cpu_ns < before + 50_000_000 {
            assert!(std::time::Instant::now() < deadline, "50 ms of CPU time never came");
        }
    }

    #[test]
    fn a_number_that_somebody_else_has_now_is_not_accounted() {
        assert_eq!(account(ProcessId { start_ticks: ourselves().start_ticks + 1, ..ourselves() }), None);
        assert_eq!(
            cgroup_memory(ProcessId { start_ticks: ourselves().start_ticks + 1, ..ourselves() }),
            None
        );
    }
}
