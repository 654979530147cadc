//! What every probe's work needs of the agent.

use std::{path::PathBuf, sync::Arc};

use kube::Api;
use leakhound_crds::LeakProbe;
use leakhound_tracer::capabilities::Capabilities;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{metrics::Metrics, spool::Spool, status::Speaker, upload::Uploads};

/// What every probe's work needs of the agent.
#[derive(Clone)]
pub(crate) struct Context {
    /// The probes, in Leakhound's own namespace.
    pub(crate) api: Api<LeakProbe>,
    /// Who speaks in statuses.
    pub(crate) speaker: Speaker,
    /// What the node allows.
    pub(crate) capabilities: Arc<Capabilities>,
    /// Where the node's cgroup tree is.
    pub(crate) cgroup_root: PathBuf,
    /// Where recordings are kept.
    pub(crate) spool: Spool,
    /// Most bytes of one recording.
    pub(crate) recording_bytes: u64,
    /// Where recordings go.
    pub(crate) uploads: Uploads,
    /// A place for each container that may be watched at a time; the first to ask is the first to get one.
    pub(crate) places: Arc<Semaphore>,
    /// Most containers watched at a time.
    pub(crate) most: usize,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The agent ends: take probes off, keep what was seen, and leave the rest to the next one.
    pub(crate) drain: CancellationToken,
}
