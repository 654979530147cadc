use jiff::SignedDuration;
use leakhound_crds::{Preflight, preflight::ModeSupport};

use super::*;
use crate::fixture::{NODE, after, container, id, node, pod};

fn around(agent: AgentView) -> Surroundings {
    Surroundings { nodes: BTreeMap::from([(NODE.to_owned(), node(agent))]), runtimes: BTreeMap::new() }
}

fn of(pod: PodView) -> Candidates {
    Candidates::Pod { name: pod.name.clone(), pod: Some(pod) }
}

fn refusal(wish: &Wish, candidates: &Candidates, around: &Surroundings) -> (Reason, String) {
    let refusal = resolve(wish, Mode::Heap, candidates, around).unwrap_err();
    (refusal.reason, refusal.message)
}

#[test]
fn the_container_is_the_wished_the_default_or_the_only_one() {
    let wish = Wish::pod("cart-1");
    let alive = around(AgentView::Alive);
    let chosen = |wish: &Wish, pod: PodView| {
        resolve(wish, Mode::Heap, &of(pod), &alive).map(|resolved| resolved.targets[0].container.clone())
    };
    let mut several = pod("cart-1");
    several.containers = vec![container("proxy"), container("app")];
    assert_eq!(chosen(&wish, pod("cart-1")).unwrap(), "app");
    let refused = chosen(&wish, several.clone()).unwrap_err();
    assert_eq!(refused.reason, Reason::ContainerNotNamed);
    assert!(refused.message.contains("(proxy, app)"), "{}", refused.message);
    several.default_container = Some("app".to_owned());
    assert_eq!(chosen(&wish, several.clone()).unwrap(), "app");
    let named = Wish { container: Some("proxy".to_owned()), ..wish.clone() };
    assert_eq!(chosen(&named, several.clone()).unwrap(), "proxy");
    let wrong = Wish { container: Some("db".to_owned()), ..wish };
    let refused = chosen(&wrong, several).unwrap_err();
    assert_eq!(refused.reason, Reason::NoSuchContainer);
    assert!(refused.message.contains("it has proxy, app"), "{}", refused.message);
}

#[test]
fn what_does_not_run_is_refused_with_the_reason() {
    let wish = Wish::pod("cart-1");
    let alive = around(AgentView::Alive);
    let none = Candidates::Pod { name: "cart-1".to_owned(), pod: None };
    assert_eq!(refusal(&wish, &none, &alive).0, Reason::PodNotFound);
    let crashing = ContainerView {
        running: None,
        idle_because: Some("CrashLoopBackOff".to_owned()),
        ..container("app")
    };
    for (pod, part) in [
        (PodView { phase: "Succeeded".to_owned(), ..pod("cart-1") }, "has ended"),
        (PodView { is_leaving: true, ..pod("cart-1") }, "is being deleted"),
        (PodView { node: None, ..pod("cart-1") }, "is on no node yet"),
        (PodView { containers: vec![crashing], ..pod("cart-1") }, "CrashLoopBackOff"),
    ] {
        let (reason, message) = refusal(&wish, &of(pod), &alive);
        assert_eq!(reason, Reason::NotRunning);
        assert!(message.contains(part), "{message}");
    }
    let denied = PodView { is_denied: true, ..pod("cart-1") };
    assert_eq!(refusal(&wish, &of(denied), &alive).0, Reason::Forbidden);
}

#[test]
fn kernels_of_their_own_are_refused() {
    let wish = Wish::pod("cart-1");
    let sandboxed = PodView { runtime_class: Some("secure".to_owned()), ..pod("cart-1") };
    let mut around = around(AgentView::Alive);
    assert!(resolve(&wish, Mode::Heap, &of(sandboxed.clone()), &around).is_ok(), "runc under another name");
    around.runtimes.insert("secure".to_owned(), "runsc".to_owned());
    let (reason, message) = refusal(&wish, &of(sandboxed), &around);
    assert_eq!(reason, Reason::UnsupportedRuntime);
    assert!(message.contains("runsc") && message.contains("runc"), "{message}");
    around.nodes.insert(NODE.to_owned(), NodeView { is_virtual: true, ..node(AgentView::Absent) });
    assert_eq!(refusal(&wish, &of(pod("cart-1")), &around).0, Reason::UnsupportedRuntime);
}

#[test]
fn without_an_agent_the_taint_is_named() {
    let wish = Wish::pod("cart-1");
    let mut tainted = node(AgentView::Absent);
    tainted.taints = vec!["dedicated=gpu:NoSchedule".to_owned()];
    let around =
        Surroundings { nodes: BTreeMap::from([(NODE.to_owned(), tainted)]), ..Surroundings::default() };
    let (reason, message) = refusal(&wish, &of(pod("cart-1")), &around);
    assert_eq!(reason, Reason::NoAgentOnNode);
    assert!(message.contains("dedicated=gpu:NoSchedule") && message.contains("toleration"), "{message}");
    let silent = self::around(AgentView::Silent(SignedDuration::from_secs(75)));
    assert!(refusal(&wish, &of(pod("cart-1")), &silent).1.contains("silent for 75 s"));
}

#[test]
fn a_node_that_cannot_do_the_mode_says_so_before_anything_is_probed() {
    let wish = Wish::pod("cart-1");
    let mut able = node(AgentView::Alive);
    able.preflight = Some(Preflight {
        modes: vec![
            ModeSupport { mode: Mode::Heap, obstacle: None },
            ModeSupport { mode: Mode::Kernel, obstacle: Some("no tracepoint kmalloc".to_owned()) },
        ],
        ..Preflight::default()
    });
    let around = Surroundings { nodes: BTreeMap::from([(NODE.to_owned(), able)]), ..Surroundings::default() };
    assert!(resolve(&wish, Mode::Heap, &of(pod("cart-1")), &around).is_ok());
    assert!(resolve(&wish, Mode::Growth, &of(pod("cart-1")), &around).is_ok(), "nothing was said of it");
    let refusal = resolve(&wish, Mode::Kernel, &of(pod("cart-1")), &around).unwrap_err();
    assert_eq!(refusal.reason, Reason::UnsupportedKernel);
    assert!(!refusal.may_pass());
    let words = "where pod cart-1 runs, cannot do mode Kernel: no tracepoint kmalloc";
    assert!(refusal.message.ends_with(words), "{}", refusal.message);
}

#[test]
fn the_policy_orders_the_candidates() {
    let with = |name: &str, age: i64, change: fn(&mut ContainerView)| {
        let mut pod = PodView { created: Some(after(-age)), ..pod(name) };
        change(&mut pod.containers[0]);
        pod
    };
    let pods = vec![
        with("small", 10, |container| container.memory_limit = Some(1 << 20)),
        with("large", 20, |container| container.memory_limit = Some(1 << 30)),
        with("killed", 5, |container| container.oom_killed = vec![id(1)]),
        with("restarted", 30, |container| container.restarts = 3),
    ];
    let candidates = Candidates::Labelled { pods };
    let chosen = |selection_policy, max_targets| {
        let wish = Wish { selection_policy, max_targets, ..Wish::default() };
        let resolved = resolve(&wish, Mode::Heap, &candidates, &around(AgentView::Alive)).unwrap();
        assert_eq!(resolved.candidates, 4);
        resolved.targets.iter().map(|target| target.pod_name.clone()).collect::<Vec<_>>()
    };
    let memory = ["killed", "restarted", "large", "small"];
    assert_eq!(chosen(SelectionPolicy::HighestMemory, 10), memory);
    assert_eq!(chosen(SelectionPolicy::HighestMemory, 2), memory[..2]);
    assert_eq!(chosen(SelectionPolicy::Oldest, 2), ["restarted", "large"]);
    assert_eq!(chosen(SelectionPolicy::Newest, 1), ["killed"]);
}

#[test]
fn others_take_the_place_of_those_that_cannot_be_watched() {
    let elsewhere = PodView { node: Some("n2".to_owned()), created: Some(after(-100)), ..pod("a") };
    let candidates = Candidates::Labelled { pods: vec![elsewhere, pod("b")] };
    let wish = Wish { max_targets: 1, selection_policy: SelectionPolicy::Oldest, ..Wish::default() };
    let resolved = resolve(&wish, Mode::Heap, &candidates, &around(AgentView::Alive)).unwrap();
    assert_eq!(resolved.targets[0].pod_name, "b");
    assert_eq!(resolved.refused[0].reason, Reason::NoAgentOnNode);
    assert_eq!(shortlist(&wish, &candidates).len(), 2);
}

#[test]
fn of_nodes_that_nobody_looked_at_nothing_is_said() {
    let pods: Vec<PodView> = (0..9)
        .map(|number| PodView { node: Some(format!("n{number}")), ..pod(&format!("p{number}")) })
        .collect();
    let candidates = Candidates::Labelled { pods };
    let wish = Wish { max_targets: 1, ..Wish::default() };
    let mode = ModeSupport { mode: Mode::Kernel, obstacle: Some("no tracepoint kmalloc".to_owned()) };
    let preflight = Preflight { modes: vec![mode], ..Preflight::default() };
    let mut around = Surroundings::default();
    for looked_at in shortlist(&wish, &candidates) {
        let name = looked_at.node.clone().unwrap();
        let view =
            NodeView { name: name.clone(), preflight: Some(preflight.clone()), ..node(AgentView::Alive) };
        around.nodes.insert(name, view);
    }
    assert_eq!(around.nodes.len(), 1 + SPARE);
    let refusal = resolve(&wish, Mode::Kernel, &candidates, &around).unwrap_err();
    assert_eq!((refusal.reason, refusal.may_pass()), (Reason::UnsupportedKernel, false), "{refusal:?}");
    assert!(!refusal.message.contains("left the cluster"), "{refusal:?}");
    assert!(refusal.message.contains("3 pods that come later"), "{refusal:?}");
}

#[test]
fn while_one_may_come_right_it_is_worth_waiting() {
    let wish = Wish { max_targets: 2, ..Wish::default() };
    let mut sandboxed = pod("a");
    sandboxed.runtime_class = Some("kata-qemu".to_owned());
    let waiting = PodView { node: None, ..pod("b") };
    let pods = vec![sandboxed, waiting];
    let refusal =
        resolve(&wish, Mode::Heap, &Candidates::Labelled { pods }, &around(AgentView::Alive)).unwrap_err();
    assert!(refusal.may_pass());
    assert!(
        refusal.message.contains("kata-qemu") && refusal.message.contains("on no node yet"),
        "{refusal:?}"
    );
    let many: Vec<PodView> =
        (0..9).map(|number| PodView { node: None, ..pod(&format!("p{number}")) }).collect();
    let refusal = resolve(&wish, Mode::Heap, &Candidates::Labelled { pods: many }, &around(AgentView::Alive))
        .unwrap_err();
    assert!(refusal.message.ends_with("and 6 more"), "{refusal:?}");
}
