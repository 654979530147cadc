use leakhound_crds::{
    Condition, ConditionStatus, Finding, Frame, Verdict,
    condition::{LEAK_DETECTED, SUCCEEDED, find},
    investigation::status::{Memory, WatchedProcess},
    probe::ProbeReason,
};
use proptest::prelude::*;

use super::*;
use crate::{
    fixture::{after, digest, finding, investigation, now, probe, says, watched},
    stage::{End, EndReason},
};

/// The status of `investigation` while its probe is on and the agent has said `digest`.
fn while_running(investigation: &LeakInvestigation, digest: Digest) -> LeakInvestigationStatus {
    let probe = says(probe(investigation, "cart-1"), ProbeReason::Running, 300, now());
    let tracked = Tracked {
        watched: watched("cart-1"),
        stage: Stage::Probing,
        turn: None,
        probes: vec![&probe],
        digests: vec![(&probe, digest)],
    };
    status(&facts(investigation, &[tracked]))
}

fn facts<'a>(investigation: &'a LeakInvestigation, targets: &'a [Tracked<'a>]) -> Facts<'a> {
    Facts {
        investigation,
        targets,
        obstacle: None,
        conclusion: None,
        report_url: "http://r",
        now: after(300),
    }
}

#[test]
fn digests_show_while_probes_are_on() {
    let digest = digest(Verdict::LeakLikely, vec![finding("open_session", 60 << 20)]);
    let status = while_running(&investigation(), digest);
    insta::assert_yaml_snapshot!(status);
}

#[test]
fn one_kill_that_two_have_seen_is_one_and_gaps_are_counted() {
    let mut digest = digest(Verdict::LeakLikely, Vec::new());
    digest.epochs = 2;
    digest.memory.oom_kills = Some(1);
    let mut of_kubelet = watched("cart-1");
    of_kubelet.memory = Some(Memory { oom_kills: Some(1), ..Memory::default() });
    let investigation = investigation();
    let probe = says(probe(&investigation, "cart-1"), ProbeReason::Running, 300, now());
    let tracked = Tracked {
        watched: of_kubelet,
        stage: Stage::Probing,
        turn: None,
        probes: vec![&probe],
        digests: vec![(&probe, digest)],
    };
    let target = status(&facts(&investigation, &[tracked])).targets[0].clone();
    assert_eq!(target.memory.and_then(|memory| memory.oom_kills), Some(1));
    assert_eq!(target.epochs, 2, "the agent was replaced");
}

#[test]
fn findings_below_the_thresholds_are_no_leak() {
    let small = Finding { outstanding_bytes: 1000, ..finding("open_session", 60 << 20) };
    let status = while_running(&investigation(), digest(Verdict::LeakLikely, vec![small.clone()]));
    let leak = find(&status.conditions, LEAK_DETECTED).unwrap();
    assert_eq!((leak.status, leak.reason.as_str()), (ConditionStatus::False, "BelowThresholds"));
    assert_eq!(status.findings, []);
    let mut curious = investigation();
    curious.spec.thresholds.min_outstanding = "100".into();
    let status = while_running(&curious, digest(Verdict::LeakLikely, vec![small]));
    assert_eq!(find(&status.conditions, LEAK_DETECTED).unwrap().status, ConditionStatus::True);
}

#[test]
fn one_result_of_several_is_a_result() {
    let investigation = investigation();
    let end = |reason, message: &str| Stage::Ended(End { reason, message: message.to_owned() });
    let tracked = |pod: &str, stage| Tracked {
        watched: watched(pod),
        stage,
        turn: None,
        probes: Vec::new(),
        digests: Vec::new(),
    };
    let said = |stages: Vec<Stage>| {
        let targets: Vec<Tracked<'_>> =
            stages.into_iter().zip(["a", "b", "c"]).map(|(stage, pod)| tracked(pod, stage)).collect();
        let status = status(&facts(&investigation, &targets));
        let succeeded = find(&status.conditions, SUCCEEDED).unwrap();
        format!("{} {}: {}", succeeded.status, succeeded.reason, succeeded.message)
    };
    let lost = || end(EndReason::NodeLost, "the node is gone");
    assert_eq!(
        said(vec![end(EndReason::Completed, "done"), lost()]),
        "True Completed: 1 of 2 containers were watched; pod b: the node is gone"
    );
    assert_eq!(said(vec![lost()]), "False NodeLost: pod a: the node is gone");
    assert_eq!(
        said(vec![lost(), end(EndReason::AllocatorNotFound, "no malloc")]),
        "False AllocatorNotFound: no container could be watched: pod a: the node is gone; pod b: no malloc"
    );
    assert_eq!(
        said(vec![end(EndReason::TargetGone, "the pod was deleted")]),
        "True TargetGone: the pod was deleted"
    );
}

#[test]
fn times_of_change_stay_with_their_statements() {
    let mut investigation = investigation();
    let first = while_running(&investigation, digest(Verdict::Inconclusive, Vec::new()));
    investigation.status = Some(first.clone());
    let probe = says(probe(&investigation, "cart-1"), ProbeReason::Running, 300, now());
    let tracked = [Tracked {
        watched: watched("cart-1"),
        stage: Stage::Probing,
        turn: None,
        probes: vec![&probe],
        digests: vec![(&probe, digest(Verdict::LeakLikely, vec![finding("f", 60 << 20)]))],
    }];
    let second = status(&Facts { now: after(400), ..facts(&investigation, &tracked) });
    for condition in &second.conditions {
        let before = find(&first.conditions, &condition.type_).unwrap();
        let changed = before.status != condition.status;
        assert_eq!(changed, condition.type_ == LEAK_DETECTED, "{}", condition.type_);
        let since = if condition.type_ == "Suspended" { now() } else { after(300) };
        assert_eq!(condition.last_transition_time.0, if changed { after(400) } else { since });
    }
}

fn any_status() -> impl Strategy<Value = LeakInvestigationStatus> {
    let text = |most: usize| {
        prop::collection::vec(prop::sample::select(vec!['a', 'ß', '€', '𝕏', '"', '\u{1}']), 0..most)
            .prop_map(|characters| characters.into_iter().collect::<String>())
    };
    let frame = (text(200), text(200), text(200)).prop_map(|(function, module, file)| Frame {
        function,
        module,
        file,
        line: Some(i32::MAX),
    });
    let finding = (text(32), prop::collection::vec(frame, 0..24)).prop_map(|(class, frames)| Finding {
        class,
        frames,
        ..Finding::default()
    });
    let condition = text(1024)
        .prop_map(|message| Condition::new(SUCCEEDED, ConditionStatus::Unknown, "R", &message, now()));
    let target = (text(253), text(200)).prop_map(|(pod, exe)| WatchedTarget {
        pod_name: pod,
        processes: vec![WatchedProcess { exe, ..WatchedProcess::default() }; 8],
        ..watched("p")
    });
    let all = (
        prop::collection::vec(finding, 0..20),
        prop::collection::vec(condition, 0..16),
        prop::collection::vec(target, 0..10),
    );
    all.prop_map(|(findings, conditions, targets)| LeakInvestigationStatus {
        findings,
        conditions,
        targets,
        ..LeakInvestigationStatus::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_status_is_larger_than_64_kib(mut status in any_status()) {
        let (findings, frames) = (status.findings.len(), frames(&status));
        cap::cap(&mut status);
        let json = serde_json::to_vec(&status).unwrap();
        prop_assert!(json.len() <= cap::MOST_BYTES, "{}", json.len());
        let omitted = usize::try_from(status.findings_omitted.unwrap_or(0)).unwrap();
        prop_assert_eq!(status.findings.len() + omitted, findings);
        if omitted == 0 {
            let cut: i32 = status.findings.iter().map(|finding| finding.frames_omitted).sum();
            prop_assert_eq!(self::frames(&status) + usize::try_from(cut).unwrap(), frames);
        }
    }

    #[test]
    fn whatever_an_agent_says_fits_the_schema(name in "\\PC{0,300}", exe in "\\PC{0,300}", rank in any::<i32>()) {
        let mut said = digest(Verdict::LeakLikely, vec![Finding { rank, class: name.clone(), ..finding(&name, i64::MAX) }; 5]);
        said.findings.iter_mut().for_each(|finding| "Leak".clone_into(&mut finding.class));
        said.confidence_percent = rank;
        said.attach_method.clone_from(&name);
        said.processes = vec![WatchedProcess { exe, ..WatchedProcess::default() }; 20];
        let status = while_running(&investigation(), said);
        let summary = status.summary.unwrap();
        prop_assert!(summary.top_frame.is_none_or(|top| top.chars().count() <= 64));
        prop_assert!(summary.growth.unwrap().chars().count() <= 24);
        prop_assert!((0..=100).contains(&summary.confidence_percent.unwrap()));
        let target = &status.targets[0];
        prop_assert!(target.processes.len() <= 8 && target.processes.iter().all(|process| process.exe.chars().count() <= 200));
        prop_assert!(target.attach_method.as_ref().is_none_or(|method| method.chars().count() <= 32));
        prop_assert!(status.findings.iter().flat_map(|finding| &finding.frames).all(|frame| frame.function.chars().count() <= 200));
    }
}

fn frames(status: &LeakInvestigationStatus) -> usize {
    status.findings.iter().map(|finding| finding.frames.len()).sum()
}
