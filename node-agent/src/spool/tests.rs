use leakhound_crds::{Digest, LeakProbe, LeakProbeStatus, Time, Verdict, probe::ProbeReason};
use leakhound_report::recording::{self, Header, Record, Snapshot};

use super::*;
use crate::{
    fixture::{noon, probe},
    outcome::Outcome,
};

fn header() -> Record {
    Record::Header(Header { format: recording::FORMAT.into(), ..Header::default() })
}

fn snapshot(second: u64) -> Record {
    Record::Snapshot(Snapshot { time_ns: second * 1_000_000_000, ..Snapshot::default() })
}

#[test]
fn what_was_written_before_the_agent_died_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("uid/1.lhr");
    let spool = Spool::open(folder.path(), 1 << 30).unwrap();
    let mut tape = Tape::start(&path, 1 << 20, &spool);
    tape.write(&header());
    (1..=3).for_each(|second| tape.write(&snapshot(second)));
    std::mem::forget(tape); // killed: nothing is finished
    let recording = recording::read(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(recording.snapshots.len(), 3);
}

#[test]
fn what_is_too_large_is_not_kept_and_says_why() {
    let write = |most, room| {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), room).unwrap();
        let path = spool.entry("uid").recording(1);
        let mut tape = Tape::start(&path, most, &spool);
        tape.write(&header());
        (1..=200).for_each(|second| tape.write(&snapshot(second)));
        (tape.finish(), path.exists())
    };
    assert_eq!(write(1 << 20, 1 << 20), (Ok(()), true));
    assert_eq!(write(2000, 1 << 20), (Err(TapeLoss::TooLarge(2000)), false));
    assert_eq!(write(1 << 20, 2000), (Err(TapeLoss::SpoolFull), false));
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1 << 20).unwrap();
    let nowhere = Tape::start(Path::new("/proc/nowhere/1.lhr"), 1, &spool).finish();
    assert!(matches!(nowhere, Err(TapeLoss::Disk(_))));
}

#[test]
fn recordings_that_are_made_side_by_side_share_the_room() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 6000).unwrap();
    let start = |uid: &u32| Tape::start(&spool.entry(&uid.to_string()).recording(1), 1 << 20, &spool);
    let mut tapes: Vec<Tape> = (1..=4).collect::<Vec<u32>>().iter().map(start).collect();
    tapes.iter_mut().for_each(|tape| tape.write(&header()));
    for second in 1..=200 {
        for tape in &mut tapes {
            tape.write(&snapshot(second));
            assert!(spool.used() <= 6000, "{} bytes after {second} s", spool.used());
        }
    }
    let ends: Vec<_> = tapes.into_iter().map(Tape::finish).collect();
    assert!(ends.contains(&Err(TapeLoss::SpoolFull)), "{ends:?}");
    assert!(spool.used() <= 6000);
}

#[test]
fn a_ticket_survives_and_half_a_ticket_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(&folder.path().join("spool"), 1 << 20).unwrap();
    let entry = spool.entry("6f0c2a52-0000");
    assert_eq!(entry.ticket(), None);
    let epoch = |number, watched_ms| Epoch {
        number,
        container_id: "containerd://x".into(),
        watched_ms,
        lost: None,
        stored: None,
        digest: None,
    };
    let outcome = Outcome::now(ProbeReason::Completed, "done");
    let ticket =
        Ticket { epochs: vec![epoch(1, 5000), epoch(2, 3000)], outcome: Some(outcome), ..Ticket::default() };
    entry.save(&ticket).unwrap();
    assert_eq!(spool.entry("6f0c2a52-0000").ticket(), Some(ticket.clone()));
    assert_eq!((ticket.watched_ms(), ticket.longest().unwrap().number, ticket.next_epoch()), (8000, 1, 3));
    fs::write(folder.path().join("spool/6f0c2a52-0000/ticket.json"), "{\"epochs\":[").unwrap();
    assert_eq!(entry.ticket(), None);
    entry.remove().unwrap();
    entry.remove().unwrap();
    assert_eq!(spool.used(), 0);
}

/// What an agent has said that ran in a pod of which nothing is left.
fn left_behind(result_digest: Option<&str>) -> LeakProbe {
    let digest = serde_json::json!({
        "verdict": "LeakLikely", "confidencePercent": 80, "liveBytes": 4096, "liveCount": 4,
        "growthBytesPerHour": 1, "memory": { "oomKills": 1 }, "epochs": 2,
    });
    let mut probe = probe();
    probe.status = Some(LeakProbeStatus {
        start_time: Some(Time(noon())),
        coverage_seconds: Some(40),
        digest: Some(digest.to_string()),
        result_digest: result_digest.map(ToOwned::to_owned),
        ..LeakProbeStatus::default()
    });
    probe
}

#[test]
fn a_gap_is_told_when_the_spool_is_gone() {
    assert_eq!(Ticket::told(&probe()), Ticket::default());
    let mut ticket = Ticket::told(&left_behind(None));
    assert_eq!((ticket.watched_ms(), ticket.next_epoch()), (40_000, 3));
    assert_eq!(ticket.start_time, Some(Time(noon())));
    let earlier = ticket.longest().unwrap().clone();
    assert!(earlier.lost.unwrap().contains("agent.spoolHostPath"));
    let later = Digest { verdict: Verdict::NoLeakObserved, ..earlier.digest.unwrap() };
    let mut epoch = Epoch {
        number: 3,
        container_id: "x".into(),
        watched_ms: 50_000,
        lost: None,
        stored: None,
        digest: Some(later),
    };
    ticket.note(epoch.clone());
    let digest = ticket.digest().unwrap();
    assert_eq!((digest.verdict, digest.epochs), (Verdict::NoLeakObserved, 3), "the longest is judged");
    assert_eq!(digest.memory.oom_kills, Some(2), "kills of all stretches count");
    assert_eq!(ticket.watched_ms(), 90_000);
    epoch.watched_ms = 10_000;
    ticket.note(epoch);
    assert_eq!(ticket.digest().unwrap().verdict, Verdict::LeakLikely);
}

#[test]
fn a_recording_that_the_operator_has_is_not_lost_with_the_spool() {
    let ticket = Ticket::told(&left_behind(Some("sha256:abc")));
    let earlier = ticket.longest().unwrap();
    assert_eq!((earlier.lost.as_deref(), earlier.stored.as_deref()), (None, Some("sha256:abc")));
}

#[test]
fn an_epoch_is_noted_once() {
    let mut ticket = Ticket::default();
    assert_eq!(ticket.next_epoch(), 1);
    let epoch = |watched_ms| Epoch {
        number: 1,
        container_id: "x".into(),
        watched_ms,
        lost: None,
        stored: None,
        digest: None,
    };
    ticket.note(epoch(10));
    ticket.note(epoch(20));
    assert_eq!((ticket.epochs.len(), ticket.watched_ms(), ticket.next_epoch()), (1, 20, 2));
}

#[test]
fn what_belongs_to_no_probe_is_swept_and_what_is_used_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1000).unwrap();
    for (uid, bytes) in [("a", 300), ("b", 400)] {
        let path = spool.entry(uid).recording(1);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![0; bytes]).unwrap();
    }
    assert_eq!((spool.used(), spool.room()), (700, 300));
    assert_eq!(spool.sweep(&BTreeSet::from(["b".to_owned()])).unwrap(), 1);
    assert_eq!((spool.used(), spool.room()), (400, 600));
}

#[test]
fn a_uid_reaches_nothing_but_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 1000).unwrap();
    assert_eq!(spool.entry("../../etc").recording(1), folder.path().join("etc/1.lhr"));
}
