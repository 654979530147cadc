use leakhound_crds::investigation::wishes::ReportFormat::{Folded, Html, Json, Pprof};
use leakhound_report::recording::{
    self, End, Header, Module, Pod, Record, Settings, Snapshot, Stack, StackCounters, Target, Writer,
};

use super::*;
use crate::answer::Thresholds;

const THRESHOLDS: Thresholds =
    Thresholds { outstanding_bytes: 0, growth_bytes_per_hour: 0, age_seconds: 0, findings: 10 };

/// A recording of a program in which `function` leaks a block a second, or nothing when it is empty.
pub(crate) fn recording(function: &str) -> Vec<u8> {
    let second = 1_000_000_000;
    let mut writer = Writer::new(Vec::new());
    let header = Header {
        format: recording::FORMAT.to_owned(),
        target: Target {
            container: Some("0101".to_owned()),
            pod: Some(Pod { name: "another".to_owned(), ..Pod::default() }),
            ..Target::default()
        },
        settings: Settings { duration_ns: 60 * second, interval_ns: second, ..Settings::default() },
        ..Header::default()
    };
    writer.write(&Record::Header(header)).unwrap();
    writer.write(&Record::Module(Module { id: 1, path: "/app/cart".to_owned(), build_id: None })).unwrap();
    let frame = |name: &str| recording::Frame {
        function: Some(name.to_owned()),
        module: Some(1),
        ..recording::Frame::default()
    };
    if !function.is_empty() {
        writer
            .write(&Record::Stack(Stack {
                id: 1,
                frames: vec![frame(function), frame("main")],
                cut_short: None,
            }))
            .unwrap();
    }
    for number in 1..=60 {
        let counters = StackCounters {
            id: 1,
            live_bytes: number << 20,
            live_count: number,
            allocated_bytes: number << 20,
            allocated_count: number,
            ..StackCounters::default()
        };
        let stacks = if function.is_empty() { Vec::new() } else { vec![counters] };
        writer
            .write(&Record::Snapshot(Snapshot { time_ns: number * second, stacks, ..Snapshot::default() }))
            .unwrap();
    }
    writer
        .write(&Record::End(End { time_ns: 60 * second, reason: "duration".to_owned(), ..End::default() }))
        .unwrap();
    writer.finish().unwrap()
}

fn origin() -> Origin {
    Origin {
        probe: "p".to_owned(),
        namespace: "shop".to_owned(),
        pod: "a".to_owned(),
        container: "app".to_owned(),
        oom_killed: Vec::new(),
    }
}

fn gather(formats: &[ReportFormat], recordings: &[(&str, &[u8])]) -> (Vec<File>, Vec<Recorded>) {
    let mut gathering = Gathering::new("shop", "cart", formats, THRESHOLDS, recordings.len());
    let mut files = Vec::new();
    for (pod, bytes) in recordings {
        let origin = Origin { probe: format!("probe-{pod}"), pod: (*pod).to_owned(), ..origin() };
        files.extend(gathering.add(judge(origin, bytes).unwrap()).unwrap());
    }
    let gathered = gathering.finish().unwrap();
    files.extend(gathered.files);
    (files, gathered.recorded)
}

#[test]
fn one_recording_gives_its_own_files_in_every_format() {
    let (files, recorded) = gather(&[Html, Json, Pprof, Folded], &[("a", &recording("open_session"))]);
    let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["shop-cart.html", "shop-cart.json", "shop-cart.pb.gz", "shop-cart.folded"]);
    assert!(files.iter().all(|file| file.format.is_some()));
    assert_eq!(String::from_utf8_lossy(&files[3].content), "main;open_session 62914560\n");
    let answer = &recorded[0].answer;
    assert_eq!((recorded[0].probe.as_str(), answer.outstanding_bytes), ("probe-a", 60 << 20));
    assert_eq!(answer.findings[0].frames[0].function, "open_session");
    assert!(
        (3590_i64 << 20..3610 << 20).contains(&answer.growth_bytes_per_hour),
        "{}",
        answer.growth_bytes_per_hour
    );
}

#[test]
fn several_recordings_get_a_cover_that_links_to_each() {
    let hostile = "<script>alert(1)</script>";
    let (files, recorded) = gather(
        &[Html, Json, Pprof, Folded],
        &[("a", &recording(hostile)), ("b", &recording(hostile)), ("c", &recording(""))],
    );
    assert_eq!(recorded.len(), 3);
    let of = |format| files.iter().find(|file| file.format == Some(format)).unwrap();
    let cover = String::from_utf8_lossy(&of(Html).content).into_owned();
    for part in ["shop-cart-1-a.html", "shop-cart-2-b.html", "shop-cart-3-c.html"] {
        assert!(files.iter().any(|file| file.name == part && file.format.is_none()), "{part}");
        assert!(cover.contains(&format!("href=\"{part}\"")), "{part}");
    }
    assert!(!cover.contains(hostile) && cover.contains("&lt;script&gt;"), "names are text");
    let folded = String::from_utf8_lossy(&of(Folded).content).into_owned();
    assert_eq!(folded.lines().count(), 2, "{folded}");
    assert!(folded.contains("a;main;<script>") && folded.contains("b;main;<script>"), "{folded}");
    let json: serde_json::Value = serde_json::from_slice(&of(Json).content).unwrap();
    assert_eq!(json["parts"].as_array().unwrap().len(), 3);
    assert_eq!(json["parts"][1]["analysis"]["format"], "leakhound-analysis/1");
    assert!(!of(Pprof).content.is_empty());
}

#[test]
fn the_json_of_several_recordings_holds_the_analysis_of_each_as_it_is() {
    let analysis = |pod: &str, function: &str| {
        let origin = Origin { pod: pod.to_owned(), ..origin() };
        serde_json::to_string(&judge(origin, &recording(function)).unwrap().analysis).unwrap()
    };
    let (files, _) = gather(&[Json], &[("a", &recording("f")), ("b\"", &recording("g"))]);
    let expected = format!(
        r#"{{"format":"leakhound-investigation/1","parts":[{{"analysis":{},"container":"app","podName":"a"}},{{"analysis":{},"container":"app","podName":"b\""}}]}}"#,
        analysis("a", "f"),
        analysis("b\"", "g"),
    );
    assert_eq!(String::from_utf8_lossy(&files[0].content), expected);
}

#[tokio::test]
async fn the_longest_names_make_files_that_a_directory_takes() {
    let directory = tempfile::tempdir().unwrap();
    let storage = crate::storage::Storage::open(&format!("file://{}", directory.path().display())).unwrap();
    let id = storage.report_id("u").await.unwrap();
    let longest = "n".repeat(63);
    let mut gathering = Gathering::new(&longest, &longest, &[Html, Pprof], THRESHOLDS, 2);
    for _ in 0..2 {
        let origin = Origin { pod: "p".repeat(253), ..origin() };
        for file in gathering.add(judge(origin, &recording("f")).unwrap()).unwrap() {
            storage.put_report(&id, &file.name, file.content.into()).await.unwrap();
        }
    }
    for file in gathering.finish().unwrap().files {
        storage.put_report(&id, &file.name, file.content.into()).await.unwrap();
    }
    assert_eq!(std::fs::read_dir(directory.path().join("reports").join(id.to_string())).unwrap().count(), 4);
}

#[test]
fn the_largest_recording_leaves_room_in_the_pod_of_the_chart() {
    let values = include_str!("../../../charts/leakhound/values.yaml");
    let operator = values.split("\noperator:").nth(1).unwrap();
    let limit = operator.split("limits: {memory: ").nth(1).unwrap().split("Mi}").next().unwrap();
    let limit: usize = limit.parse().unwrap();
    assert!(4 * judge::LIMITS.recording_bytes <= limit << 20, "{limit} MiB");
}

#[test]
fn a_report_names_its_pod_whatever_the_recording_says() {
    let part = judge(origin(), &recording("f")).unwrap();
    let pod = Pod { namespace: "shop".to_owned(), name: "a".to_owned(), container: "app".to_owned() };
    assert_eq!(part.analysis.target.pod, Some(pod));
}

#[test]
fn a_kill_for_want_of_memory_is_in_the_report_of_that_container_alone() {
    let told = |killed: &str| {
        let origin = Origin { oom_killed: vec![format!("containerd://{killed}")], ..origin() };
        judge(origin, &recording("f")).unwrap().answer.reasons.join(" ").contains("for lack of memory")
    };
    assert!(told("0101"));
    assert!(!told("0202"));
}

#[test]
fn damage_is_an_error_and_a_cut_is_not() {
    let whole = recording("f");
    assert!(judge(origin(), b"nothing of the kind").is_err());
    assert!(
        judge(origin(), &whole[..whole.len() / 2]).is_ok(),
        "an agent that was killed leaves a beginning"
    );
}
