//! How investigations end, and what comes after.

use leakhound_crds::condition::RECORDING_UPLOADED;

use super::*;
use crate::{
    conclusion::{Conclusion, StoredFile},
    controller::observed::Stored,
    storage::StoredRecording,
};

pub(super) fn stored(recordings: &[(&str, &str)]) -> Stored {
    let recordings = recordings
        .iter()
        .map(|(probe, sha256)| StoredRecording { probe: (*probe).to_owned(), sha256: (*sha256).to_owned() });
    Stored { recordings: recordings.collect(), conclusion: None }
}

pub(super) fn concluded(mut stored: Stored) -> Stored {
    let file = StoredFile {
        format: "HTML".to_owned(),
        name: "shop-cart.html".to_owned(),
        bytes: 3,
        sha256: "00".to_owned(),
    };
    stored.conclusion = Some(Conclusion {
        basis: basis(&stored.recordings),
        report_id: "1f".to_owned(),
        answers: Vec::new(),
        reports: if stored.recordings.is_empty() { Vec::new() } else { vec![file] },
        problems: Vec::new(),
    });
    stored
}

#[test]
fn recordings_are_waited_for_analyzed_and_told() {
    let ended = || running(|probe| says(probe, ProbeReason::Completed, 600, after(600)));
    let waiting = Observed { stored: Some(stored(&[])), now: after(650), ..ended() };
    let first = plan(&waiting, URL);
    assert_eq!((reason(&first).as_str(), first.actions.len()), ("Unknown Running", 0), "it may still come");

    let arrived = Observed { stored: Some(stored(&[("probe-cart-1", "aa"), ("other", "bb")])), ..waiting };
    let second = plan(&arrived, URL);
    let [Action::Conclude(order)] = second.actions.as_slice() else { panic!("{:?}", second.actions) };
    assert_eq!((order.recordings.len(), order.missing.len()), (1, 0));
    assert_eq!(reason(&second), "Unknown Running");

    let done = Observed { stored: Some(concluded(stored(&[("probe-cart-1", "aa")]))), ..arrived };
    let third = plan(&done, URL);
    assert_eq!((reason(&third).as_str(), third.actions.len()), ("True Completed", 0));
    assert_eq!(third.status.reports[0].url.as_deref(), Some("http://reports/r/1f/shop-cart.html"));
    let over = plan(&done.after(&third), URL);
    assert_eq!((over.status == third.status, over.actions.len()), (true, 0), "nothing changes any more");
}

pub(super) fn missing(order: &Conclude) -> Vec<String> {
    order.missing.iter().map(Missing::explain).collect()
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// What the agent says of the upload.
fn uploading(mut probe: LeakProbe, reason: &str) -> LeakProbe {
    let uploaded = Condition::new(RECORDING_UPLOADED, ConditionStatus::False, reason, "", after(620));
    probe.status.as_mut().unwrap().conditions.push(uploaded);
    probe
}

#[test]
fn an_agent_that_tries_again_is_waited_for_and_one_that_gave_up_is_not() {
    for (reason, waited) in [("Retrying", true), ("GaveUp", false), ("NotKept", false), ("TooLarge", false)] {
        let ended = running(|probe| uploading(says(probe, ProbeReason::Completed, 600, after(600)), reason));
        let soon = Observed { stored: Some(stored(&[])), now: after(650), ..ended };
        let concludes = |observed: Observed| {
            plan(&observed, URL).actions.iter().any(|action| matches!(action, Action::Conclude(_)))
        };
        assert_eq!(concludes(soon.clone()), !waited, "{reason}");
        assert!(concludes(Observed { now: after(721), ..soon }), "{reason}: not for ever");
    }
}

#[test]
fn every_stretch_without_a_recording_is_told() {
    let mut resumed = running(|probe| told_to_stop(says(probe, ProbeReason::StoppedEarly, 300, after(300))));
    let mut second = says(probe(&resumed.investigation, "cart-1"), ProbeReason::Completed, 300, after(600));
    second.metadata.uid = Some("second".to_owned());
    resumed.probes.push(Arc::new(second));
    resumed.now = after(721);
    for (recordings, told) in [
        (&[("probe-cart-1", "aa")][..], &["1 of 2 recordings of pod cart-1 did not arrive"][..]),
        (&[("second", "bb")], &["1 of 2 recordings of pod cart-1 did not arrive"]),
        (&[("second", "bb"), ("probe-cart-1", "aa")], &[]),
        (&[], &["2 of 2 recordings of pod cart-1 did not arrive"]),
    ] {
        let plan = plan(&Observed { stored: Some(stored(recordings)), ..resumed.clone() }, URL);
        let [Action::Conclude(order)] = plan.actions.as_slice() else { panic!("{:?}", plan.actions) };
        assert_eq!((order.recordings.len(), missing(order)), (recordings.len(), strings(told)));
    }
}

#[test]
fn what_is_over_is_tidied_up() {
    let ended = running(|probe| says(probe, ProbeReason::Completed, 600, after(600)));
    let done =
        Observed { stored: Some(concluded(stored(&[("probe-cart-1", "aa")]))), now: after(601), ..ended };
    let over = done.clone().after(&plan(&done, URL));
    let idle = plan(&over, URL);
    assert_eq!(idle.wake, Some(SignedDuration::from_hours(1)));
    let tidied = plan(&Observed { now: after(601 + 3600), ..over.clone() }, URL);
    assert!(matches!(tidied.actions.as_slice(), [Action::RemoveProbe { .. }]));
    let mortal = over.with(|investigation| investigation.spec.ttl_seconds_after_finished = Some(60));
    assert_eq!(plan(&mortal, URL).wake, Some(SignedDuration::from_secs(60)));
    assert_eq!(plan(&Observed { now: after(661), ..mortal }, URL).actions, [Action::Expire]);
}

#[test]
fn a_lost_node_ends_its_target_and_the_agent_finds_a_stop() {
    let mut lost = running(|probe| says(probe, ProbeReason::Running, 100, now()));
    let gone = NodeView { is_ready: false, ..node(AgentView::Silent(SignedDuration::from_secs(99))) };
    lost.surroundings.nodes.insert(NODE.to_owned(), gone);
    lost.stored = Some(stored(&[]));
    let first = plan(&lost, URL);
    assert!(
        matches!(first.actions.as_slice(), [Action::Stop { .. }, Action::Conclude(_)]),
        "{:?}",
        first.actions
    );
    let over = plan(&Observed { stored: Some(concluded(stored(&[]))), ..lost }, URL);
    assert_eq!(reason(&over), "False NodeLost");
}

#[test]
fn stop_and_suspend_take_probes_off() {
    for change in [
        (|investigation: &mut LeakInvestigation| investigation.spec.stop = true)
            as fn(&mut LeakInvestigation),
        |investigation| investigation.spec.suspend = true,
    ] {
        let stopping = running(|probe| says(probe, ProbeReason::Running, 20, now())).with(change);
        let first = plan(&stopping, URL);
        assert!(matches!(first.actions.as_slice(), [Action::Stop { .. }]), "{:?}", first.actions);
        let told = stopping.probed(|probe| told_to_stop(says(probe, ProbeReason::Running, 20, now())));
        assert_eq!(plan(&told, URL).actions, [], "once is enough");
    }
}
