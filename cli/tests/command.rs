//! The command as its users and other tools call it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use support::{LEAKHOUND, can_probe, leakhound, seed, start, wait_for};

/// It ends with this status, and says this in one line.
fn assert_refused(arguments: &[&str], status: i32, words: &[&str]) {
    let output = leakhound(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} does not say {word:?}: {said}");
    }
    assert!(said.starts_with("leakhound: "), "{arguments:?}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{arguments:?}: {said}");
}

#[test]
fn wrong_use_ends_with_2_and_says_how_to_do_better() {
    assert_refused(
        &["run", "./prog", "-x"],
        2,
        &["to start a program, put -- before it: leakhound run -- ./prog -x"],
    );
    assert_refused(&["run"], 2, &["run --pid", "run --container", "run -- COMMAND", "--mode kernel"]);
    assert_refused(&["run", "--mode", "growth"], 2, &["--pid", "--mode kernel"]);
    assert_refused(&["run", "--mode", "growth", "--pid", "1", "--attach", "perf-event"], 2, &["heap mode"]);
    assert_refused(&["run", "--mode", "kernel", "--events", "x"], 2, &["heap mode", "leave out"]);
    assert_refused(
        &["run", "--mode", "growth", "--pid", "1", "--sample", "4KiB"],
        2,
        &["follows each", "heap and kernel"],
    );
    for mode in ["heap", "growth", "kernel"] {
        assert_refused(
            &["run", "--mode", mode, "--pid", "1", "--budget", "0%"],
            2,
            &["leaves no time", "1%"],
        );
    }
    assert_refused(&["run", "--mode", "stack", "--pid", "1"], 2, &["heap, growth, kernel"]);
    assert_refused(
        &["run", "--pid", "1", "--container", "abc"],
        2,
        &["leakhound run --pid 1 or leakhound run --container abc"],
    );
    assert_refused(&["run", "--pid", "x"], 2, &["--pid", "pgrep x"]);
    assert_refused(&["run", "--pid", "1", "--duration", "10"], 2, &["90s"]);
    assert_refused(
        &["run", "--pid", "1", "--interval", "10s", "--duration", "5s"],
        2,
        &["longer than", "a third"],
    );
    assert_refused(&["run", "--pid", "1", "--json", "-", "--html", "-"], 2, &["standard output"]);
    assert_refused(&["frobnicate"], 2, &["frobnicate", "leakhound --help"]);
}

#[test]
fn targets_that_cannot_be_followed_are_refused_in_one_line() {
    if !can_probe() {
        return;
    }
    assert_refused(&["run", "--pid", "4194303"], 1, &["no process 4194303"]);
    assert_refused(&["run", "--pid", "2"], 1, &["kernel thread"]);
    assert_refused(&["run", "--container", "0123456789abcdef"], 1, &["no process belongs"]);
    assert_refused(&["run", "--", "/does/not/exist"], 1, &["cannot start /does/not/exist", "check its name"]);
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id().to_string();
    let stat = format!("/proc/{pid}/stat");
    wait_for("a zombie", || fs::read_to_string(&stat).ok().filter(|stat| stat.contains(") Z ")));
    assert_refused(&["run", "--pid", &pid], 1, &["zombie"]);
    child.wait().unwrap();
}

#[test]
fn a_path_that_cannot_be_written_is_found_out_before_the_run() {
    let began = Instant::now();
    for option in ["--json", "--html", "--recording"] {
        assert_refused(
            &["run", option, "/does/not/exist/x", "--", "sleep", "60"],
            1,
            &["cannot write", "/does/not/exist/x"],
        );
    }
    assert!(began.elapsed() < Duration::from_secs(55), "it ran first");
}

#[test]
fn a_run_that_cannot_begin_leaves_files_as_they_were() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let [fresh, earlier] = ["fresh", "earlier"].map(|name| folder.path().join(name));
    fs::write(&earlier, "an earlier recording").unwrap();
    for path in [&fresh, &earlier] {
        let path = path.to_str().unwrap();
        assert_refused(&["run", "--pid", "4194303", "--recording", path], 1, &["no process 4194303"]);
    }
    assert!(!fresh.exists());
    assert_eq!(fs::read_to_string(&earlier).unwrap(), "an earlier recording");
}

#[test]
fn what_is_no_recording_is_named_with_what_would_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let planted = concat!(env!("CARGO_MANIFEST_DIR"), "/../report/tests/corpus/list.lhr");
    let [page, json, folded] = ["page", "json", "folded"].map(at);
    let made = leakhound(&["report", planted, "-q", "--html", &page, "--json", &json, "--folded", &folded]);
    assert!(made.status.success());
    let [events, cut] = [at("events"), at("cut")];
    fs::write(&events, "{\"kind\":\"header\",\"format\":\"leakhound-blocks/1\"}\n").unwrap();
    fs::write(&cut, &fs::read(planted).unwrap()[..100]).unwrap();
    for (name, bytes) in [("empty", &b""[..]), ("text", b"hello\n"), ("binary", b"\x7fELF\x02\x01")] {
        fs::write(at(name), bytes).unwrap();
    }
    let to_make_one = "`leakhound run --recording FILE` wrote";
    for (file, what) in [
        (page, ["this is the page that --html wrote, not a recording", to_make_one]),
        (json, ["this is the JSON of an analysis, not a recording", to_make_one]),
        (folded, ["this is text of another kind, not a recording", to_make_one]),
        (events, ["this is the log of blocks that --events wrote, not a recording", to_make_one]),
        (at("text"), ["this is text of another kind", to_make_one]),
        (at("binary"), ["this is an ELF binary", to_make_one]),
        (at("empty"), ["the file is empty", "still being written"]),
        (cut, ["cut off before its first record", "record again"]),
        (at("absent"), ["as there is no such file", to_make_one]),
        (at(""), ["which is a folder", to_make_one]),
    ] {
        assert_refused(&["report", &file], 1, &[&["cannot", file.as_str()], &what[..]].concat());
        assert_refused(&["diff", planted, &file], 1, &[&["cannot", file.as_str()], &what[..]].concat());
    }
}

#[test]
fn the_seeds_three_leaks_are_found_by_line_and_nothing_else() {
    if !can_probe() {
        return;
    }
    let (folder, seed) = (tempfile::tempdir().unwrap(), seed());
    let [json, recording] =
        ["out.json", "out.lhr"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    let arguments =
        ["run", "--duration", "5s", "--interval", "500ms", "--json", &json, "--recording", &recording];
    let output = leakhound(&[&arguments[..], &["--", seed.to_str().unwrap(), "100", "60"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let analysis: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert_eq!(analysis["format"], "leakhound-analysis/1");
    assert_eq!(analysis["mode"], "Heap");
    // fewer when the machine is too busy for all of them
    let snapshots = analysis["snapshotCount"].as_u64().unwrap();
    assert!((5..=10).contains(&snapshots), "{snapshots}");
    let lines: Vec<u64> =
        growing(&analysis).iter().filter_map(|finding| finding["frames"][0]["line"].as_u64()).collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [13, 20, 30], "{analysis:#}");
    let first = &analysis["findings"][0]["frames"][0];
    assert!(first["file"].as_str().unwrap().ends_with("examples/seed.c"));
    assert_eq!(first["inlined"], false);
    for path in [
        "/target/pids/0",
        "/target/command",
        "/durationSeconds",
        "/totals/liveBytes",
        "/totals/freedCount",
        "/overhead/attachSeconds",
        "/overhead/probeNanoseconds",
        "/overhead/eventsPerSecond",
        "/ledger/allocations",
        "/findings/0/growthBytesPerHour",
        "/findings/0/grewEverySnapshot",
        "/findings/0/frames/0/address",
        "/findings/0/class",
        "/verdict/name",
        "/verdict/confidencePercent",
        "/peak/totalBytes",
        "/alerts",
    ] {
        assert!(analysis.pointer(path).is_some(), "no {path}");
    }

    // the recording says the same again
    let again = leakhound(&["report", &recording, "--json", "-"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["totals"], analysis["totals"]);
    assert_eq!(again["findings"], analysis["findings"]);

    // its table has the lines, too
    let table = String::from_utf8(leakhound(&["report", &recording]).stdout).unwrap();
    for line in ["seed.c:13", "seed.c:20", "seed.c:30"] {
        assert!(table.contains(line), "{line} is not in\n{table}");
    }
    assert!(!table.contains("seed.c:25"), "{table}");
    // with the allocator's own frames on demand
    let all = String::from_utf8(leakhound(&["report", &recording, "--all-frames"]).stdout).unwrap();
    assert!(all.contains("realloc") && !table.contains("realloc"), "{all}");
}

fn growing(analysis: &Value) -> Vec<&Value> {
    let findings = analysis["findings"].as_array().unwrap();
    findings.iter().filter(|finding| finding["grewEverySnapshot"] == true).collect()
}

#[test]
fn the_children_of_a_process_are_followed_when_asked_for() {
    if !can_probe() {
        return;
    }
    let program = seed();
    let script = format!("{} 50 120 & wait", program.to_str().unwrap());
    let parent = start("sh", &["-c", &script]);
    let pid = parent.0.id().to_string();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let child = wait_for("the child", || {
        let child = fs::read_to_string(&children).ok()?.trim().to_owned();
        fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|path| path == program).then_some(child)
    });
    let watch = |more: &[&str]| -> Value {
        let arguments = ["run", "--pid", &pid, "--duration", "1s", "--interval", "300ms", "--json", "-"];
        let output = leakhound(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (alone, together) = (watch(&[]), watch(&["--children"]));
    let _ = Command::new("kill").arg(&child).status();
    assert_eq!(alone["target"]["pids"].as_array().unwrap().len(), 1);
    assert_eq!(together["target"]["pids"].as_array().unwrap().len(), 2);
    assert_eq!(alone["totals"]["allocatedCount"], 0, "the shell only waits");
    assert!(together["totals"]["allocatedCount"].as_u64().unwrap() > 0);
    assert_refused(
        &["run", "--children", "--", "true"],
        2,
        &["--children", "exclude each other: leakhound run -- true"],
    );
}

#[test]
fn a_command_that_ends_at_once_is_a_result() {
    if can_probe() {
        let output = leakhound(&["run", "--json", "-", "--", "true"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let analysis: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(analysis["verdict"]["name"], "Inconclusive");
    }
}

#[test]
fn the_targets_own_output_does_not_spoil_ours() {
    if can_probe() {
        let output = leakhound(&["run", "--duration", "1s", "--json", "-", "--", "sh", "-c", "echo hello"]);
        let analysis: Result<Value, _> = serde_json::from_slice(&output.stdout);
        assert!(analysis.is_ok(), "{}", String::from_utf8_lossy(&output.stdout));
        assert!(String::from_utf8_lossy(&output.stderr).contains("hello"));
    }
}

#[test]
fn without_privileges_it_says_which_are_missing() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("leakhound");
    fs::copy(LEAKHOUND, &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["run", "--", "sleep", "1"])
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("CAP_BPF") && said.contains("CAP_PERFMON"), "{said}");
    assert!(said.contains("sudo leakhound") && said.contains("leakhound doctor"), "{said}");
    // the line that it gives works
    let line = said.split("or once sudo ").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    assert!(Command::new(words[0]).args(&words[1..]).status().unwrap().success(), "{line}");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["run", "--duration", "900ms", "--interval", "300ms", "--", "sleep", "60"])
        .current_dir("/")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_interrupt_ends_early_with_a_full_result() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("out.json");
    let target = start(seed().to_str().unwrap(), &["50", "60"]);
    let pid = target.0.id().to_string();
    let mut ours =
        start(LEAKHOUND, &["run", "--pid", &pid, "--duration", "60s", "--json", json.to_str().unwrap()]);
    wait_for("probes to be on", || Some(links_of(ours.0.id())).filter(|links| !links.is_empty()));
    assert!(Command::new("kill").args(["-INT", &ours.0.id().to_string()]).status().unwrap().success());
    assert!(ours.0.wait().unwrap().success());
    let analysis: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert!(analysis["durationSeconds"].as_f64().unwrap() < 30.0);
}

#[test]
fn killed_outright_it_leaves_no_link_and_the_target_runs_on() {
    if !can_probe() {
        return;
    }
    let mut target = start(seed().to_str().unwrap(), &["50", "60"]);
    let pid = target.0.id().to_string();
    let mut ours = start(LEAKHOUND, &["run", "--quiet", "--pid", &pid, "--duration", "60s"]);
    let links = wait_for("probes to be on", || Some(links_of(ours.0.id())).filter(|links| links.len() >= 2));
    ours.0.kill().unwrap();
    ours.0.wait().unwrap();
    for link in links {
        wait_for("the kernel to drop a link", || (!link_exists(&link)).then_some(()));
    }
    assert!(target.0.try_wait().unwrap().is_none(), "the target is gone");
}

/// Ids of the links that a process holds.
fn links_of(pid: u32) -> Vec<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts
        .filter_map(|text| {
            text.lines().find_map(|line| Some(line.strip_prefix("link_id:")?.trim().to_owned()))
        })
        .collect()
}

fn link_exists(id: &str) -> bool {
    Command::new("bpftool")
        .args(["link", "show", "id", id])
        .output()
        .expect("bpftool is installed")
        .status
        .success()
}

/// Without the right to see the kernel's addresses nothing could be named: better no answer than a list of numbers.
#[test]
fn kernel_mode_wants_to_name_what_it_sees() {
    if !can_probe() {
        return;
    }
    let without_syslog = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-syslog", LEAKHOUND]).args(arguments).output().unwrap()
    };
    let output = without_syslog(&["run", "--mode", "kernel", "--duration", "2s"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CAP_SYSLOG") && said.trim_end().lines().count() == 1, "{said}");
    let doctor = without_syslog(&["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("ok       growth") && said.contains("no       kernel"), "{said}");
}

#[test]
fn doctor_says_what_works() {
    let output = leakhound(&["doctor", "--json"]);
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["attach"].as_array().unwrap().len(), 3);
    if can_probe() {
        assert_eq!(report["ready"], true, "{report:#}");
    }
}

#[test]
fn manual_pages_and_completions_are_made() {
    let folder = tempfile::tempdir().unwrap();
    assert!(leakhound(&["man", folder.path().to_str().unwrap()]).status.success());
    let page = fs::read_to_string(folder.path().join("leakhound-run.1")).unwrap();
    assert!(page.contains("duration"));
    let script = leakhound(&["completions", "bash"]).stdout;
    assert!(String::from_utf8(script).unwrap().contains("--duration"));
}
