//! What was found out about a cluster, in words.

use leakhound_crds::Preflight;

use super::{Agent, Health, Node};
use crate::{cluster::refusal::INSTALL, human, table::visible};

/// Everything, a line each, and whether investigations can be made.
pub(super) fn text(health: &Health) -> String {
    let mut lines = vec![format!("Kubernetes {} at {}", visible(&health.kubernetes), health.server)];
    lines.push(match health.installed {
        true => "  ok       LeakInvestigation is known".to_owned(),
        false => format!("  MISSING  LeakInvestigation: {INSTALL}"),
    });
    lines.push(format!("Operator in namespace {}", health.home));
    lines.extend(operator(health));
    lines.push(format!("Your rights in namespace {}", health.namespace));
    for right in &health.rights {
        let mark = match (right.granted, right.essential) {
            (true, _) => "ok     ",
            (false, true) => "MISSING",
            (false, false) => "no     ",
        };
        lines.push(format!("  {mark}  {}", right.what));
    }
    lines.push("Nodes".to_owned());
    match &health.nodes {
        None => lines.push(format!(
            "  unknown  you may not look at the agents' Leases: it needs list on leases in namespace {}",
            health.home
        )),
        Some(nodes) if nodes.is_empty() => lines.push(format!(
            "  MISSING  no agent has said anything: see `kubectl -n {} get daemonset,pods`",
            health.home
        )),
        Some(nodes) => lines.extend(nodes.iter().map(|one| node(one, &health.home))),
    }
    lines.push(conclusion(health));
    lines.join("\n") + "\n"
}

fn operator(health: &Health) -> Vec<String> {
    let home = &health.home;
    match &health.operators {
        None => vec![format!("  unknown  you may not look at pods in namespace {home}")],
        Some(pods) if pods.is_empty() => vec![format!(
            "  MISSING  no pod of the operator: {INSTALL}, or name its namespace by --system-namespace"
        )],
        Some(pods) => pods
            .iter()
            .map(|(name, ready)| match ready {
                true => format!("  ok       {name}"),
                false => {
                    format!("  MISSING  {name} is not ready: see `kubectl -n {home} describe pod {name}`")
                }
            })
            .collect(),
    }
}

fn node(node: &Node, home: &str) -> String {
    let name = visible(&node.name);
    match &node.agent {
        None => format!(
            "  MISSING  {name}: no agent: its DaemonSet may not tolerate a taint of the node (`kubectl describe node {name}`, agent.tolerations in the chart's values)"
        ),
        Some(Agent { is_lost: true, silent_seconds, .. }) => format!(
            "  MISSING  {name}: its agent was last heard of {} ago: see `kubectl -n {home} get pods -o wide`",
            human::seconds(*silent_seconds as f64)
        ),
        Some(Agent { preflight: None, .. }) => {
            format!(
                "  unknown  {name}: its agent has not said what the node can do: it may be of another version"
            )
        }
        Some(Agent { preflight: Some(said), .. }) => {
            let attach = said.attach.as_deref().unwrap_or("nothing to attach with");
            let what =
                format!("kernel {} ({}), {attach}, agent {}", said.kernel, said.architecture, said.version);
            let mark = if said.is_ready() { "ok     " } else { "MISSING" };
            let mut lines = vec![visible(&format!("  {mark}  {name}: {what}"))];
            for (mode, obstacle) in said.obstacles() {
                lines.push(visible(&format!("           not in mode {mode:?}: {obstacle}")));
            }
            lines.join("\n")
        }
    }
}

fn conclusion(health: &Health) -> String {
    let operator = health.operators.as_ref().is_none_or(|pods| pods.iter().any(|(_, ready)| *ready));
    let ready = |node: &&Node| {
        let agent = node.agent.as_ref().filter(|agent| !agent.is_lost);
        agent.is_some_and(|agent| agent.preflight.as_ref().is_none_or(Preflight::is_ready))
    };
    let nodes = health.nodes.as_ref().map(|nodes| (nodes.iter().filter(ready).count(), nodes.len()));
    if !health.installed || !operator || health.rights.iter().any(|right| right.essential && !right.granted) {
        return "Not ready: see MISSING above.".to_owned();
    }
    match nodes {
        Some((0, _)) => "Not ready: no node can be investigated.".to_owned(),
        Some((ready, all)) if ready < all => format!("Ready on {ready} of {all} nodes."),
        Some((_, all)) => format!("Ready on all {all} nodes.").replace("all 1 nodes", "the only node"),
        None => "Ready as far as you may see.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use leakhound_crds::{investigation::Mode, preflight::ModeSupport};

    use super::{super::Right, *};

    fn healthy() -> Health {
        let right = |what, granted, essential| Right { what, granted, essential };
        let said = Preflight {
            version: "0.1.0".into(),
            kernel: "6.18.44".into(),
            architecture: "x86_64".into(),
            attach: Some("uprobe.session".into()),
            modes: vec![
                ModeSupport { mode: Mode::Heap, obstacle: None },
                ModeSupport { mode: Mode::Kernel, obstacle: Some("CAP_SYSLOG is missing".into()) },
            ],
            ..Preflight::default()
        };
        let agent = |preflight| Some(Agent { silent_seconds: 7, is_lost: false, preflight });
        Health {
            server: "https://127.0.0.1:6443/".into(),
            kubernetes: "v1.36.0".into(),
            installed: true,
            home: "leakhound-system".into(),
            namespace: "shop".into(),
            rights: vec![right("create investigations", true, true), right("use mode Kernel", false, false)],
            operators: Some(vec![("leakhound-operator-0".into(), true)]),
            nodes: Some(vec![Node { name: "n1".into(), agent: agent(Some(said)) }]),
        }
    }

    #[test]
    fn a_healthy_cluster() {
        insta::assert_snapshot!(text(&healthy()));
    }

    #[test]
    fn a_cluster_with_everything_missing_says_what_to_do() {
        let mut health = healthy();
        health.installed = false;
        health.operators = Some(vec![]);
        health.rights[0].granted = false;
        let lost = Agent { silent_seconds: 3900, is_lost: true, preflight: None };
        let old = Preflight {
            version: "0.1.0".into(),
            kernel: "4.19".into(),
            architecture: "x86_64".into(),
            modes: [Mode::Heap, Mode::Growth, Mode::Kernel]
                .map(|mode| ModeSupport {
                    mode,
                    obstacle: Some("the kernel does not describe its types".into()),
                })
                .into(),
            ..Preflight::default()
        };
        health.nodes = Some(vec![
            Node { name: "lost".into(), agent: Some(lost) },
            Node {
                name: "old".into(),
                agent: Some(Agent { silent_seconds: 1, is_lost: false, preflight: Some(old) }),
            },
            Node { name: "tainted".into(), agent: None },
        ]);
        insta::assert_snapshot!(text(&health));
    }

    #[test]
    fn what_the_user_may_not_see_is_no_fault() {
        let mut health = healthy();
        (health.operators, health.nodes) = (None, None);
        let text = text(&health);
        assert!(text.contains("unknown") && text.ends_with("Ready as far as you may see.\n"), "{text}");
        assert!(!text.contains("MISSING"), "{text}");
    }
}
