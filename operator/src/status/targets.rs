//! What the status says about one container.

use leakhound_crds::{
    LeakInvestigationSpec, LeakProbe,
    investigation::status::{Memory, WatchedProcess, WatchedTarget},
};

use super::Tracked;
use crate::{answer::cut, stage};

/// Most processes that a status may hold.
const MOST_PROCESSES: usize = 8;

/// What is known about a container. What nobody said again stays as it was.
pub(super) fn watched(target: &Tracked<'_>, spec: &LeakInvestigationSpec) -> WatchedTarget {
    let mut watched = target.watched.clone();
    watched.reason = Some(target.stage.to_string());
    watched.epochs = epochs(target);
    if let Some(last) = target.probes.last() {
        watched.probe_name.clone_from(&last.metadata.name);
        watched.container_id = Some(last.spec.container_id.clone());
        let wanted = spec.duration().unwrap_or_default().as_secs().max(1);
        let percent = stage::watched(&target.probes).as_secs().saturating_mul(100) / wanted;
        watched.coverage_percent = Some(i32::try_from(percent.min(100)).unwrap_or(100));
    }
    if let Some(digest) = target.digest() {
        if !digest.attach_method.is_empty() {
            watched.attach_method = Some(cut(&digest.attach_method, 32));
        }
        watched.processes = digest.processes.iter().take(MOST_PROCESSES).map(bounded).collect();
        let kills = oom_kills(target);
        watched.memory = Some(Memory { oom_kills: kills, ..digest.memory.clone() });
        watched.overhead = Some(digest.overhead.clone());
    }
    watched
}

/// A probe is one stretch of watching, or as many as its agents have counted.
fn epochs(target: &Tracked<'_>) -> i32 {
    let of = |probe: &&LeakProbe| target.digest_of(probe).map_or(1, |digest| digest.epochs.max(1));
    target.probes.iter().map(of).fold(0, i32::saturating_add)
}

/// Agents count processes that were killed as far as they saw it, the kubelet containers. Both may tell of the same kill, so
/// the larger number counts, not the sum.
fn oom_kills(target: &Tracked<'_>) -> Option<i32> {
    let seen = target.digests.iter().filter_map(|(_, digest)| digest.memory.oom_kills);
    let told = target.watched.memory.as_ref().and_then(|memory| memory.oom_kills);
    seen.reduce(i32::saturating_add).into_iter().chain(told).max()
}

/// The longest time that any container was watched: they are watched side by side.
pub(super) fn probed_seconds(targets: &[Tracked<'_>]) -> Option<i64> {
    let watched = targets.iter().filter(|target| !target.probes.is_empty());
    watched.map(|target| i64::try_from(stage::watched(&target.probes).as_secs()).unwrap_or(i64::MAX)).max()
}

fn bounded(process: &WatchedProcess) -> WatchedProcess {
    WatchedProcess {
        pid: process.pid,
        exe: cut(&process.exe, 200),
        build_id: process.build_id.as_deref().map(|id| cut(id, 64)),
        allocator: process.allocator.as_deref().map(|name| cut(name, 32)),
    }
}
