//! `leakhound report` and `leakhound diff` as a person or a pipeline calls them, on recordings of planted programs. No root.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn leakhound(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leakhound")).args(arguments).output().unwrap()
}

/// A recording of a planted program.
fn planted(name: &str) -> String {
    path(&format!("corpus/{name}.lhr"))
}

fn path(under_tests: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../report/tests").join(under_tests);
    path.to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[track_caller]
fn worked(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn the_answer_begins_with_the_verdict_and_then_with_who_did_it() {
    let output = leakhound(&["report", &planted("list")]);
    let lines: Vec<&str> = worked(&output).lines().collect();
    assert!(lines[0].starts_with("Leak likely ("), "{}", lines[0]);
    assert!(lines[1].contains("1 stack loses memory steadily") && lines[1].contains("open_session (list.c:"));
    let table = lines.iter().position(|line| line.contains("CLASS")).unwrap();
    assert!(
        lines[table + 1].contains("leak") && lines[table + 1].contains("open_session"),
        "{}",
        lines[table + 1]
    );
    assert!(lines.iter().all(|line| !line.ends_with(' ')), "nothing trails");
}

#[test]
fn every_form_at_once_each_for_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (html, json, folded, pprof) = (at("a.html"), at("a.json"), at("a.folded"), at("a.pb.gz"));
    let arguments = ["--html", &html, "--json", &json, "--folded", &folded, "--pprof", &pprof, "--quiet"];
    let output = leakhound(&[&["report", planted("list").as_str()], &arguments[..]].concat());
    assert_eq!(worked(&output), "", "quiet");
    let analysis: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(analysis["format"], "leakhound-analysis/1");
    assert_eq!(analysis["source"], "leakhound");
    assert_eq!(analysis["verdict"]["name"], "LeakLikely");
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("Content-Security-Policy") && !page.contains("__LEAKHOUND_DATA__"));
    let stacks = fs::read_to_string(&folded).unwrap();
    assert!(stacks.lines().any(|line| line.contains(";open_session ")), "{stacks}");
    assert_eq!(fs::read(&pprof).unwrap()[..2], [0x1f, 0x8b], "gzip");
}

#[test]
fn standard_output_takes_one_form_and_nothing_beside_it() {
    let output = leakhound(&["report", &planted("list"), "--json", "-"]);
    assert!(serde_json::from_str::<Value>(worked(&output)).is_ok());
    let output = leakhound(&["report", &planted("list"), "--folded", "-"]);
    assert!(worked(&output).lines().all(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().is_ok()));
    let output = leakhound(&["report", &planted("list"), "--json", "-", "--folded", "-"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

#[test]
fn what_is_read_is_told_by_content_also_from_standard_input() {
    for (file, source) in [
        (planted("list"), "leakhound"),
        (path("data/memleak-libbpf-kernel.log"), "memleak-libbpf"),
        (path("data/memleak-bcc-command.log"), "memleak-bcc"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_leakhound"))
            .args(["report", "-", "--json", "-"])
            .stdin(Stdio::from(File::open(&file).unwrap()))
            .output()
            .unwrap();
        let analysis: Value = serde_json::from_str(worked(&output)).unwrap();
        assert_eq!(analysis["source"], source, "{file}");
    }
}

#[test]
fn a_kernel_log_names_first_who_holds_the_most_at_the_peak() {
    let log = path("data/memleak-libbpf-kernel.log");
    let output = leakhound(&["report", &log, "--json", "-"]);
    let analysis: Value = serde_json::from_str(worked(&output)).unwrap();
    let snapshots = fs::read_to_string(&log).unwrap().matches("stacks with outstanding allocations").count();
    assert_eq!(analysis["snapshotCount"], snapshots);
    let first = &analysis["peak"]["parts"][0]["stackId"];
    let finding =
        analysis["findings"].as_array().unwrap().iter().find(|finding| finding["stackId"] == *first);
    assert_eq!(finding.unwrap()["frames"][0]["function"], "do_anonymous_page");
}

#[test]
fn pipelines_fail_on_what_they_asked_about() {
    for (name, asked, status) in [
        ("list", "leak", 3),
        ("list", "suspected", 3),
        ("vector", "suspected", 3),
        ("lru", "leak", 0),
        ("lru", "suspected", 0),
        ("churn", "suspected", 0),
    ] {
        let output = leakhound(&["report", &planted(name), "--quiet", "--fail-on", asked]);
        assert_eq!(output.status.code(), Some(status), "{name} --fail-on {asked}: {}", text(&output.stderr));
    }
    assert_eq!(leakhound(&["report", &planted("list"), "--quiet"]).status.code(), Some(0), "nobody asked");
}

#[test]
fn what_is_too_short_to_tell_fails_no_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("short.log");
    let whole = fs::read_to_string(path("data/memleak-libbpf-user.log")).unwrap();
    let (second, _) = whole.match_indices("\n[").nth(1).unwrap();
    fs::write(&log, &whole[..=second]).unwrap();
    let output = leakhound(&["report", log.to_str().unwrap(), "--fail-on", "suspected"]);
    assert!(
        worked(&output).starts_with("Inconclusive\n  - 1 snapshot is too few"),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn two_recordings_are_compared_by_function() {
    let (slow, fast): (PathBuf, PathBuf) = (planted("list-slow").into(), planted("list").into());
    let output = leakhound(&["diff", slow.to_str().unwrap(), fast.to_str().unwrap()]);
    let answer = worked(&output);
    assert!(answer.contains("grows faster  +") && answer.contains("open_session"), "{answer}");
    let output = leakhound(&["diff", fast.to_str().unwrap(), slow.to_str().unwrap()]);
    assert!(worked(&output).contains("grows more slowly  -"));
    let output = leakhound(&["diff", fast.to_str().unwrap(), fast.to_str().unwrap()]);
    assert!(worked(&output).contains("No stack grows faster or more slowly"));
    let output = leakhound(&["diff", slow.to_str().unwrap(), fast.to_str().unwrap(), "--json", "-"]);
    let json: Value = serde_json::from_str(worked(&output)).unwrap();
    assert!(json["stacks"].as_array().is_some_and(|stacks| !stacks.is_empty()));
}

#[test]
fn what_cannot_be_compared_is_said_first() {
    let (heap, log) = (planted("list"), path("data/memleak-libbpf-kernel.log"));
    let output = leakhound(&["diff", &heap, &log]);
    let lines: Vec<&str> = worked(&output).lines().collect();
    assert_eq!(lines[0], "These two cannot be compared stack by stack:");
    assert!(
        lines[1].contains("Before is of heap mode") && lines[1].contains("after of kernel mode"),
        "{}",
        lines[1]
    );
    assert!(lines.iter().any(|line| line.starts_with("only in after  ")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("appeared") || line.starts_with("went")), "{lines:?}");
}
