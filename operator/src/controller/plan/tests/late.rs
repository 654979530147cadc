//! What comes after the end, or never began.

use super::{
    ending::{concluded, missing, stored, strings},
    *,
};
use crate::controller::observed::Stored;

#[test]
fn without_a_recording_the_digest_stands_until_one_comes_late() {
    let ended = running(|probe| says(probe, ProbeReason::Completed, 600, after(600)));
    let late = Observed { stored: Some(stored(&[])), now: after(600 + 121), ..ended };
    let first = plan(&late, URL);
    let [Action::Conclude(order)] = first.actions.as_slice() else { panic!("{:?}", first.actions) };
    assert_eq!(
        (order.recordings.len(), missing(order)),
        (0, vec!["the recording of pod cart-1 did not arrive".to_owned()])
    );
    let over = Observed { stored: Some(concluded(stored(&[]))), ..late };
    let second = plan(&over, URL);
    assert_eq!(reason(&second), "True Completed");
    assert_eq!(find(&second.status.conditions, "ReportReady").unwrap().reason, "SummaryOnly");

    let mut arrived = over.after(&second);
    assert!(awaits_recordings(&arrived));
    arrived.stored = Some(Stored {
        recordings: stored(&[("probe-cart-1", "aa")]).recordings,
        conclusion: concluded(stored(&[])).conclusion,
    });
    let third = plan(&arrived, URL);
    assert!(matches!(third.actions.as_slice(), [Action::Conclude(_)]), "{:?}", third.actions);
    arrived.stored = Some(concluded(stored(&[("probe-cart-1", "aa")])));
    let fourth = plan(&arrived, URL);
    assert_eq!(find(&fourth.status.conditions, "ReportReady").unwrap().status, ConditionStatus::True);
    assert_eq!(find(&fourth.status.conditions, SUCCEEDED), find(&second.status.conditions, SUCCEEDED));
    assert_eq!(fourth.status.completion_time, second.status.completion_time);
}

/// An investigation of two pods that is over without a recording.
fn two_pods_without_recordings() -> Observed {
    let mut first = looked();
    let pods = vec![pod("cart-1"), pod("cart-2")];
    first.candidates = Some(Candidates::Labelled { pods });
    first.turns.insert(("uid-cart-2".to_owned(), "app".to_owned()), Turn::Now);
    let first = first.with(|investigation| investigation.spec.target.max_targets = 2);
    let chosen = plan(&first, URL);
    let mut ended = Observed { candidates: None, now: after(721), ..first.after(&chosen) };
    let probe = |name| says(probe(&ended.investigation, name), ProbeReason::Completed, 600, after(600));
    ended.probes = vec![Arc::new(probe("cart-1")), Arc::new(probe("cart-2"))];
    ended.stored = Some(concluded(stored(&[])));
    let over = plan(&ended, URL);
    assert_eq!(reason(&over), "True Completed");
    ended.after(&over)
}

#[test]
fn every_recording_that_comes_late_completes_the_report() {
    let mut over = two_pods_without_recordings();
    let (a, b) = (("probe-cart-1", "aa"), ("probe-cart-2", "bb"));
    for (recordings, of, unsaid) in
        [(&[a][..], &[][..], &["the recording of pod cart-2 did not arrive"][..]), (&[a, b], &[a], &[])]
    {
        assert!(awaits_recordings(&over), "{recordings:?}");
        over.stored = Some(Stored {
            recordings: stored(recordings).recordings,
            conclusion: concluded(stored(of)).conclusion,
        });
        let late = plan(&over, URL);
        let [Action::Conclude(order)] = late.actions.as_slice() else { panic!("{:?}", late.actions) };
        assert_eq!((order.recordings.len(), missing(order)), (recordings.len(), strings(unsaid)));
        assert_eq!(Some(&late.status), over.investigation.status.as_ref());

        let mut done = concluded(stored(recordings));
        let conclusion = done.conclusion.as_mut().unwrap();
        conclusion.problems = missing(order);
        conclusion.reports[0].sha256 = format!("{:02}", recordings.len());
        over.stored = Some(done);
        let told = plan(&over, URL);
        let ready = find(&told.status.conditions, "ReportReady").unwrap();
        let says = unsaid.first().unwrap_or(&"see status.reports for the links");
        assert_eq!((ready.status, ready.message.as_str()), (ConditionStatus::True, *says));
        assert_eq!(told.actions, []);
        over = over.after(&told);
        assert_eq!(Some(&plan(&over, URL).status), over.investigation.status.as_ref(), "told once");
    }
}

#[test]
fn an_agent_that_comes_back_changes_the_report_and_not_the_end() {
    let mut over = two_pods_without_recordings();
    // One was told to stop after its end: for an investigation that goes on that would be a pause.
    let said = says(probe(&over.investigation, "cart-2"), ProbeReason::StoppedEarly, 100, after(700));
    over.probes[1] = Arc::new(told_to_stop(said));
    over.stored = Some(Stored {
        recordings: stored(&[("probe-cart-2", "bb")]).recordings,
        conclusion: concluded(stored(&[])).conclusion,
    });
    assert!(matches!(plan(&over, URL).actions.as_slice(), [Action::Conclude(_)]));
    over.stored = Some(concluded(stored(&[("probe-cart-2", "bb")])));
    let told = plan(&over, URL);
    let before = over.investigation.status.as_ref().unwrap();
    assert_eq!((&told.status.targets, told.status.reports.len()), (&before.targets, 1));
    for type_ in [SUCCEEDED, "Probing"] {
        assert_eq!(find(&told.status.conditions, type_), find(&before.conditions, type_));
    }
}

#[test]
fn a_report_loses_nothing_when_its_probes_are_removed() {
    let mut over = two_pods_without_recordings();
    let both = [("probe-cart-1", "aa"), ("probe-cart-2", "bb")];
    over.stored = Some(concluded(stored(&both)));
    let mut over = over.clone().after(&plan(&over, URL));
    over.probes.pop();
    assert_eq!(plan(&over, URL).actions, [], "one recording less is no news");
    over.now = after(721 + 3600);
    assert!(!awaits_recordings(&over), "an upload to a probe that is removed now gets no answer");
}

#[test]
fn the_time_to_start_is_for_the_first_probe_alone() {
    let later = |observed: &mut Observed, pod: &str| {
        let later = Turn::Later { ahead: 1, full: Full::Cluster };
        observed.turns.insert((format!("uid-{pod}"), "app".to_owned()), later);
    };
    let mut paused = running(|probe| told_to_stop(says(probe, ProbeReason::StoppedEarly, 100, now())));
    paused.now = after(500);
    later(&mut paused, "cart-1");
    let waiting = plan(&paused, URL);
    assert_eq!(reason(&waiting), "Unknown Queued");
    assert_eq!(waiting.wake, Some(SignedDuration::from_secs(60)), "and not every second");

    let (mut over, waits) = (two_pods_without_recordings(), Stage::Waiting.to_string());
    over.probes.pop();
    over.stored = Some(stored(&[("probe-cart-1", "aa")]));
    later(&mut over, "cart-2");
    let mut over = over.with(|investigation| {
        let status = investigation.status.as_mut().unwrap();
        status.conditions.retain(|condition| condition.type_ != SUCCEEDED);
        status.targets[1].reason = Some(waits);
    });
    let expired = |observed: &Observed| {
        let targets = observed.chosen().iter().map(|watched| observed.track(watched.clone()));
        targets.map(|target| has_expired(observed, &target)).collect::<Vec<_>>()
    };
    assert_eq!(expired(&over), [false, true], "who never started keeps nobody from the report");
    assert!(matches!(plan(&over, URL).actions.as_slice(), [Action::Conclude(_)]));
    over.now = after(299);
    assert_eq!(expired(&over), [false, false]);
}
