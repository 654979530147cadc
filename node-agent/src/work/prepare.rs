//! Everything that must hold before a probe goes on: the node can, the wishes can be granted, the container is the one that
//! was named, and its programs run on this kernel.

use std::{fs, path::Path, sync::Arc, time::Duration};

use leakhound_crds::{LeakProbeSpec, probe::ProbeReason};
use leakhound_tracer::{
    capabilities::Capabilities,
    locate::{LocateError, Target},
    process::ProcessId,
};

use crate::{
    container::{self, Container, Wanted},
    digest::Seen,
    outcome::{self, Outcome},
    preflight, profile,
    watching::Job,
};

/// A container that is there and can be watched.
pub(super) struct Ready {
    /// Where it is.
    pub(super) container: Container,
    /// How to watch it.
    pub(super) job: Job,
    /// What was seen of it before.
    pub(super) seen: Seen,
}

/// Everything that must hold before a probe goes on.
pub(super) fn prepare(
    cgroup_root: &Path,
    spec: &LeakProbeSpec,
    left: Duration,
    capabilities: &Arc<Capabilities>,
) -> Result<Ready, Outcome> {
    let refused = |refusal: profile::Refusal| Outcome::now(ProbeReason::AgentError, refusal.to_string());
    let settings = profile::settings(spec, left).map_err(refused)?;
    if let Some(obstacle) = preflight::obstacle(capabilities, spec.mode) {
        return Err(Outcome::now(ProbeReason::UnsupportedKernel, obstacle));
    }
    let wanted = Wanted::new(&spec.pod_uid, spec.static_pod_hash.as_deref(), &spec.container_id);
    let found = wanted.and_then(|wanted| Ok((container::find(cgroup_root, &wanted)?, wanted.id)));
    let (container, container_id) = found.map_err(|error| outcome::of_container(&error))?;
    let target = Target::Group(profile::group(spec, &container));
    let before = container::memory(&container.folder);
    let (processes, _) = target.processes().map_err(|error| match (error, before) {
        (LocateError::Gone, Some(memory)) => {
            Outcome::now(ProbeReason::TargetGone, outcome::gone(memory.oom_kills))
        }
        (error, _) => outcome::of_tracer(&error.into()),
    })?;
    let pids: Vec<u32> = processes.iter().map(|id| id.pid).collect();
    if let Some(sandbox) = container::sandbox(Path::new("/proc"), &pids) {
        return Err(outcome::of_sandbox(sandbox));
    }
    let mut seen = Seen { programs: processes.iter().filter_map(program).collect(), ..Seen::default() };
    seen.memory.note(before);
    let capabilities = Arc::clone(capabilities);
    let ends_when_too_dear = profile::ends_when_too_dear(spec);
    let job = Job { target, settings, capabilities, container_id, ends_when_too_dear };
    Ok(Ready { container, job, seen })
}

fn program(id: &ProcessId) -> Option<(u32, String)> {
    let path = fs::read_link(format!("/proc/{}/exe", id.pid)).ok()?;
    Some((id.pid, path.to_string_lossy().into_owned()))
}
