//! The resolve step: from a wish and what was seen of pods and nodes to the containers to watch, or why there are none.
//!
//! Pure. [`shortlist`] says which candidates are worth a look at their nodes; [`resolve`] decides.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;
use leakhound_crds::investigation::{
    Mode, Target as Wish,
    target::{SelectionPolicy, WorkloadKind},
};

use crate::{
    node::{AgentView, NodeView},
    pod::{ContainerView, PodView},
    refusal::{Reason, Refusal},
};

/// Candidates beyond those wanted that are looked at, in case the first ones cannot be watched.
const SPARE: usize = 5;
/// How many refused pods a message names.
const NAMED: usize = 3;
/// Handlers of runtimes with a kernel of their own.
const SANDBOXES: [&str; 6] = ["runsc", "gvisor", "kata", "firecracker", "wasm", "runhcs"];

/// What was found of the pods that a wish may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// The pod of a name.
    Pod { name: String, pod: Option<PodView> },
    /// The pods of a workload, or none if there is no such workload.
    Workload { kind: WorkloadKind, name: String, pods: Option<Vec<PodView>> },
    /// The pods that labels fit.
    Labelled { pods: Vec<PodView> },
}

/// What was found around the candidates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Surroundings {
    /// Nodes by name.
    pub(crate) nodes: BTreeMap<String, NodeView>,
    /// Handlers of RuntimeClasses by name; absent for a class that does not exist.
    pub(crate) runtimes: BTreeMap<String, String>,
}

/// A container that can be watched: it was running on a node with an agent when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) pod_name: String,
    pub(crate) pod_uid: String,
    pub(crate) node: String,
    pub(crate) container: String,
    pub(crate) container_id: String,
    pub(crate) restarts: i32,
    pub(crate) static_hash: Option<String>,
}

/// The containers to watch, and how many there were to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// At least one.
    pub(crate) targets: Vec<Target>,
    /// Pods that the wish fits.
    pub(crate) candidates: usize,
    /// Why some of them could not be chosen.
    pub(crate) refused: Vec<Refusal>,
}

/// A running container of a candidate.
type Runs<'a> = (&'a PodView, &'a ContainerView, &'a str, &'a str);

/// The candidates that come first by the wish's policy, and so many more in case they cannot be watched.
pub(crate) fn shortlist<'a>(wish: &Wish, candidates: &'a Candidates) -> Vec<&'a PodView> {
    let mut runs: Vec<Runs<'_>> =
        candidates.pods().iter().filter_map(|pod| running(wish, pod).ok()).collect();
    cut_short(wish, &mut runs);
    runs.into_iter().map(|(pod, ..)| pod).collect()
}

/// Leaves those that come first by the wish's policy; says how many others there are.
fn cut_short(wish: &Wish, runs: &mut Vec<Runs<'_>>) -> usize {
    order(wish.selection_policy, runs);
    let most = wanted(wish) + SPARE;
    let others = runs.len().saturating_sub(most);
    runs.truncate(most);
    others
}

/// Decides which containers to watch. Nothing is said of pods beyond the [`shortlist`]: nobody looked at their nodes.
pub(crate) fn resolve(
    wish: &Wish,
    mode: Mode,
    candidates: &Candidates,
    surroundings: &Surroundings,
) -> Result<Resolved, Refusal> {
    let pods = candidates.pods();
    if pods.is_empty() {
        return Err(candidates.explain_none());
    }
    let (mut runs, mut refused) = (Vec::new(), Vec::new());
    for pod in pods {
        match running(wish, pod) {
            Ok(run) => runs.push(run),
            Err(refusal) => refused.push(refusal),
        }
    }
    let others = cut_short(wish, &mut runs);
    let mut targets = Vec::new();
    for (pod, container, node, id) in runs {
        if targets.len() == wanted(wish) {
            break;
        }
        match supported(pod, mode, node, surroundings) {
            Ok(()) => targets.push(Target {
                pod_name: pod.name.clone(),
                pod_uid: pod.uid.clone(),
                node: node.to_owned(),
                container: container.name.clone(),
                container_id: id.to_owned(),
                restarts: container.restarts,
                static_hash: pod.static_hash.clone(),
            }),
            Err(refusal) => refused.push(refusal),
        }
    }
    if targets.is_empty() {
        Err(sum_up(refused, others))
    } else {
        Ok(Resolved { targets, candidates: pods.len(), refused })
    }
}

impl Candidates {
    fn pods(&self) -> &[PodView] {
        match self {
            Self::Pod { pod, .. } => pod.as_slice(),
            Self::Workload { pods, .. } => pods.as_deref().unwrap_or_default(),
            Self::Labelled { pods } => pods,
        }
    }

    fn explain_none(&self) -> Refusal {
        match self {
            Self::Pod { name, .. } => Refusal::new(
                Reason::PodNotFound,
                format!("there is no pod {name} in this namespace: see `kubectl get pods` for the names"),
            ),
            Self::Workload { kind, name, pods: None } => Refusal::new(
                Reason::WorkloadNotFound,
                format!("there is no {kind:?} {name} in this namespace: see `kubectl get {kind:?}`"),
            ),
            Self::Workload { kind, name, .. } => Refusal::new(
                Reason::NoPodMatches,
                format!("{kind:?} {name} has no pods: see `kubectl describe {kind:?} {name}`"),
            ),
            Self::Labelled { .. } => Refusal::new(
                Reason::NoPodMatches,
                "no pod in this namespace has these labels: see `kubectl get pods --show-labels`",
            ),
        }
    }
}

fn wanted(wish: &Wish) -> usize {
    usize::try_from(wish.max_targets).unwrap_or(1).max(1)
}

/// The wished container of a pod, when it runs.
fn running<'a>(wish: &Wish, pod: &'a PodView) -> Result<Runs<'a>, Refusal> {
    let name = &pod.name;
    if pod.is_denied {
        return Err(Refusal::new(
            Reason::Forbidden,
            format!("pod {name} has the label leakhound.dev/deny: it must not be investigated"),
        ));
    }
    let container = chosen(wish, pod)?;
    if !pod.is_alive() {
        let state = if pod.is_leaving { "is being deleted" } else { "has ended" };
        return Err(Refusal::new(Reason::NotRunning, format!("pod {name} {state}: name one that runs")));
    }
    match (&pod.node, &container.running) {
        (Some(node), Some(id)) => Ok((pod, container, node, id)),
        (None, _) => Err(Refusal::new(
            Reason::NotRunning,
            format!("pod {name} is on no node yet: see `kubectl describe pod {name}`"),
        )),
        (_, None) => {
            let because = container.idle_because.as_deref().unwrap_or("not started yet");
            let container = &container.name;
            Err(Refusal::new(
                Reason::NotRunning,
                format!(
                    "container {container} of pod {name} does not run ({because}): see `kubectl describe pod {name}`"
                ),
            ))
        }
    }
}

fn chosen<'a>(wish: &Wish, pod: &'a PodView) -> Result<&'a ContainerView, Refusal> {
    let wished = wish.container.as_ref().or(pod.default_container.as_ref());
    match (wished, pod.containers.as_slice()) {
        (Some(name), _) => pod.container(name).ok_or_else(|| {
            Refusal::new(
                Reason::NoSuchContainer,
                format!(
                    "pod {} has no container {name}: it has {}; set spec.target.container in another investigation",
                    pod.name,
                    pod.container_names()
                ),
            )
        }),
        (None, [only]) => Ok(only),
        (None, _) => Err(Refusal::new(
            Reason::ContainerNotNamed,
            format!(
                "pod {} has several containers ({}): name one in spec.target.container of another investigation",
                pod.name,
                pod.container_names()
            ),
        )),
    }
}

/// The operator sees no memory use, and a metrics API is not everywhere. What it sees is who ran out of memory before, who
/// may take the most, and who has had the most time to grow.
fn order(policy: SelectionPolicy, runs: &mut [Runs<'_>]) {
    runs.sort_by_key(|(pod, container, ..)| {
        let age = pod.created.unwrap_or(Timestamp::MAX);
        let by_policy = match policy {
            SelectionPolicy::HighestMemory => (
                Reverse(!container.oom_killed.is_empty()),
                Reverse(container.restarts),
                Reverse(container.memory_limit.unwrap_or(u64::MAX)),
                age.as_nanosecond(),
            ),
            SelectionPolicy::Oldest => (Reverse(false), Reverse(0), Reverse(0), age.as_nanosecond()),
            SelectionPolicy::Newest => (Reverse(false), Reverse(0), Reverse(0), -age.as_nanosecond()),
        };
        (by_policy, pod.name.clone())
    });
}

fn supported(pod: &PodView, mode: Mode, node: &str, surroundings: &Surroundings) -> Result<(), Refusal> {
    let name = &pod.name;
    if let Some(class) = &pod.runtime_class {
        let handler = surroundings.runtimes.get(class).map_or(class.as_str(), String::as_str);
        if SANDBOXES.iter().any(|sandbox| handler.to_ascii_lowercase().contains(sandbox)) {
            return Err(Refusal::new(
                Reason::UnsupportedRuntime,
                format!(
                    "pod {name} runs under {handler} (RuntimeClass {class}), on a kernel of its own that cannot be \
                     watched from outside: investigate a copy of it that runs under runc"
                ),
            ));
        }
    }
    let absent = NodeView { name: node.to_owned(), ..NodeView::default() };
    let node = surroundings.nodes.get(node).unwrap_or(&absent);
    if node.is_virtual {
        return Err(Refusal::new(
            Reason::UnsupportedRuntime,
            format!(
                "pod {name} is on the virtual node {}, where no agent can run: investigate a copy of it on a real node",
                node.name
            ),
        ));
    }
    if node.agent != AgentView::Alive {
        return Err(Refusal::new(Reason::NoAgentOnNode, node.explain_missing_agent()));
    }
    match node.obstacle_to(mode) {
        None => Ok(()),
        Some(obstacle) => Err(Refusal::new(
            Reason::UnsupportedKernel,
            format!("node {}, where pod {name} runs, cannot do mode {mode:?}: {obstacle}", node.name),
        )),
    }
}

/// One refusal for all pods: the most hopeful one decides, for while one may pass it is worth waiting.
fn sum_up(mut refused: Vec<Refusal>, others: usize) -> Refusal {
    refused.sort_by_key(|refusal| (!refusal.may_pass(), refusal.reason));
    let reason = refused.first().map_or(Reason::NoPodMatches, |first| first.reason);
    let mut messages: Vec<String> = Vec::new();
    for refusal in refused {
        if !messages.contains(&refusal.message) {
            messages.push(refusal.message);
        }
    }
    let more = messages.len().saturating_sub(NAMED);
    messages.truncate(NAMED);
    let mut message = messages.join("; ");
    if more > 0 {
        message = format!("{message}; and {more} more");
    }
    if others > 0 {
        message = format!(
            "{message}; {others} pods that come later by spec.target.selectionPolicy were not looked at"
        );
    }
    Refusal { reason, message }
}

#[cfg(test)]
mod tests;
