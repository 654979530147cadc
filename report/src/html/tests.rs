use std::{collections::HashMap, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::*;
use crate::{
    Options, analyze,
    recording::{Cohort, Frame, Header, Module, Process, Record, Settings, Snapshot, Stack, StackCounters},
};

/// The data of a page, read back.
struct Data {
    head: Value,
    columns: HashMap<String, Vec<i64>>,
}

impl Data {
    fn of(html: &str) -> Self {
        let (before, after) = TEMPLATE.split_once(PLACEHOLDER).unwrap();
        let text = html.strip_prefix(before).unwrap().strip_suffix(after).unwrap();
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(&STANDARD.decode(text).unwrap()[..]).read_to_end(&mut bytes).unwrap();
        let (length, rest) = bytes.split_first_chunk().unwrap();
        let (head, mut rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        let head: Value = serde_json::from_slice(head).unwrap();
        let mut columns = HashMap::new();
        for column in head["columns"].as_array().unwrap() {
            let (values, more) = rest.split_at(usize::try_from(column[1].as_u64().unwrap()).unwrap());
            columns.insert(column[0].as_str().unwrap().to_owned(), encode::tests::read_varints(values));
            rest = more;
        }
        assert!(rest.is_empty(), "every byte belongs to a column");
        Self { head, columns }
    }

    /// A column of differences, summed up again.
    fn summed(&self, name: &str, stride: usize) -> Vec<i64> {
        let mut column = self.columns[name].clone();
        for at in 1..column.len() {
            if at % stride != 0 {
                column[at] += column[at - 1];
            }
        }
        column
    }
}

fn stack(id: u32, function: &str) -> Record {
    let frame = |name: &str| Frame { function: Some(name.to_owned()), module: Some(0), ..Frame::default() };
    Record::Stack(Stack { id, frames: vec![frame(function), frame("main")], cut_short: None })
}

fn counters(id: u32, live: u64) -> StackCounters {
    let cohorts = vec![Cohort { number: 0, allocated_bytes: live, live_bytes: live / 2 }];
    StackCounters {
        id,
        live_bytes: live,
        live_count: 1,
        live_error_bytes: 0,
        allocated_bytes: 2 * live,
        allocated_count: 2,
        missed_frees: 0,
        cohorts,
    }
}

fn snapshot(second: u64, stacks: Vec<StackCounters>) -> Record {
    let processes = vec![Process { pid: 1, rss_bytes: 900, ..Process::default() }];
    Record::Snapshot(Snapshot { time_ns: second * 1_000_000_000, stacks, processes, ..Snapshot::default() })
}

fn recording(snapshots: u64, name: &str) -> Recording {
    let settings = Settings { cohort_ns: 1_000_000_000, ..Settings::default() };
    let mut recording = Recording::new(Header { settings, ..Header::default() });
    recording.push(Record::Module(Module { id: 0, path: "/bin/app".to_owned(), build_id: None }));
    recording.push(stack(7, name));
    recording.push(stack(8, "once"));
    for second in 1..=snapshots {
        let once = (second == 1).then(|| counters(8, 50));
        recording.push(snapshot(second, [counters(7, 100 * second)].into_iter().chain(once).collect()));
    }
    recording
}

fn rendered(recording: &Recording) -> String {
    render(recording, &analyze(recording, &Options::default())).unwrap()
}

#[test]
fn a_page_knows_where_its_recording_is_kept() {
    let recording = recording(3, "leak");
    let analysis = analyze(&recording, &Options::default());
    let page =
        |kept_as| Data::of(&render_kept(&recording, &analysis, kept_as).unwrap()).head["keptAs"].clone();
    assert_eq!((page(Some("a.lhr")), page(None)), ("a.lhr".into(), Value::Null));
}

#[test]
fn the_template_has_one_place_for_data_and_a_policy_that_allows_nothing_else() {
    assert_eq!(TEMPLATE.matches(PLACEHOLDER).count(), 1);
    let policy =
        TEMPLATE.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(policy.contains("require-trusted-types-for 'script'; trusted-types 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for address in ["src=\"http", "href=\"http", "url(http", "@import"] {
        assert!(!TEMPLATE.contains(address), "{address}");
    }
}

#[test]
fn live_bytes_and_counts_come_back_by_stack_and_snapshot() {
    let data = Data::of(&rendered(&recording(4, "leak")));
    let ids = data.summed("id", usize::MAX);
    let live = data.summed("live", 4);
    let of = |id: i64| ids.iter().position(|&other| other == id).unwrap();
    assert_eq!(live[4 * of(7)..][..4], [100, 200, 300, 400]);
    assert_eq!(live[4 * of(8)..][..4], [50, 50, 50, 50], "a stack that does not change keeps its bytes");
    assert_eq!(data.columns["allocatedBytes"][of(7)], 800);
    assert_eq!(data.columns["rss"], [901; 4], "known values are one more, 0 is unknown");
    assert_eq!(data.summed("time", usize::MAX), [1_000, 2_000, 3_000, 4_000]);
    assert_eq!(data.head["snapshotCount"], 4);
    assert_eq!(data.head["modules"][0], "/bin/app");
}

#[test]
fn survival_starts_when_a_cohort_is_complete() {
    let data = Data::of(&rendered(&recording(4, "leak")));
    let leak = data.columns["cohortStack"].iter().position(|&stack| {
        let ids = data.summed("id", usize::MAX);
        ids[usize::try_from(stack).unwrap()] == 7
    });
    let line = leak.unwrap();
    assert_eq!(data.columns["cohortEnd"][line], 1_000);
    assert_eq!(data.columns["cohortFrom"][line], 0);
    let lengths: Vec<usize> =
        data.columns["cohortFrom"].iter().map(|&from| 4 - usize::try_from(from).unwrap()).collect();
    let start: usize = lengths[..line].iter().sum();
    assert_eq!(data.summed("cohortLive", usize::MAX)[start..][..4], [50, 100, 150, 200]);
}

#[test]
fn a_symbol_cannot_leave_the_data() {
    let plain = rendered(&recording(3, "leak"));
    let hostile = rendered(&recording(3, "</script><script>alert(1)</script>"));
    let frame = |html: &str| {
        let (before, after) = TEMPLATE.split_once(PLACEHOLDER).unwrap();
        assert!(html.starts_with(before) && html.ends_with(after));
        html[before.len()..html.len() - after.len()]
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    };
    assert!(frame(&plain) && frame(&hostile));
    assert_eq!(
        Data::of(&hostile).head["functions"].as_array().unwrap()[1],
        "</script><script>alert(1)</script>"
    );
}

#[test]
fn long_recordings_are_drawn_at_as_many_moments_as_a_screen_has() {
    let recording = recording(5_000, "leak");
    let data = Data::of(&rendered(&recording));
    let time = data.summed("time", usize::MAX);
    assert!(time.len() <= 601, "{}", time.len());
    assert_eq!((time[0], *time.last().unwrap()), (1_000, 5_000_000), "the first and the last are among them");
    assert_eq!(data.head["snapshotCount"], 5_000);
    assert_eq!(data.columns["live"].len(), 2 * time.len());
}

#[test]
fn nothing_recorded_still_makes_a_page() {
    for recording in [Recording::new(Header::default()), recording(0, "leak"), recording(1, "leak")] {
        let data = Data::of(&rendered(&recording));
        assert_eq!(data.columns["time"].len(), recording.snapshots.len());
        assert_eq!(data.columns["id"].len(), recording.stacks.len());
    }
}

#[test]
fn the_largest_counters_neither_panic_nor_wrap() {
    let mut recording = Recording::new(Header::default());
    recording.push(stack(7, "leak"));
    for second in 0..4 {
        let most = StackCounters { live_bytes: u64::MAX, live_count: u64::MAX, ..counters(7, 1) };
        recording.push(snapshot(second, vec![most]));
    }
    let data = Data::of(&rendered(&recording));
    assert_eq!(data.summed("live", 4), [encode::MAX_SAFE; 4]);
}

#[test]
fn the_same_recording_gives_the_same_bytes() {
    let recording = recording(20, "leak");
    assert_eq!(rendered(&recording), rendered(&recording));
}

/// Comparing each of them with each would take minutes.
#[test]
fn hundreds_of_thousands_of_stacks_keep_their_own_reasons() {
    const STACKS: u32 = 300_000;
    let mut recording = Recording::new(Header::default());
    for id in 0..STACKS {
        let cut_short = Some(format!("the walk ended at an address outside of every module: {id:#010x}"));
        recording.push(Record::Stack(Stack { id, frames: Vec::new(), cut_short }));
    }
    let data = Data::of(&rendered(&recording));
    let cuts = data.head["cuts"].as_array().unwrap();
    assert_eq!(cuts.len(), STACKS as usize);
    for (id, &cut) in data.summed("id", usize::MAX).into_iter().zip(&data.columns["cut"]) {
        let cut = cuts[usize::try_from(cut).unwrap() - 1].as_str().unwrap();
        assert!(cut.ends_with(&format!("{id:#010x}")), "{id} {cut}");
    }
}
