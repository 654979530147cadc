//! What a person reads on the terminal after a run.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::process::Command;

use support::{Running, can_probe, leakhound, seed, start, wait_for};

fn answer(arguments: &[&str], target: &[&str]) -> String {
    let seed = seed();
    let output = leakhound(&[&["run"], arguments, &["--", seed.to_str().unwrap()], target].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_suspect_is_shown_with_its_oldest_blocks() {
    if !can_probe() {
        return;
    }
    let text = answer(&["--duration", "5s", "--interval", "500ms"], &["200", "60"]);
    let block = text.lines().find(|line| line.contains("oldest: 0x")).unwrap_or_else(|| panic!("{text}"));
    assert!(block.contains(" B, ") && block.contains(" old, process "), "{block}");
    assert!(text.contains("oldest blocks are in --json and --html"), "{text}");
}

#[test]
fn a_run_that_is_too_short_for_a_verdict_says_so_and_how_long_is_not() {
    if !can_probe() {
        return;
    }
    let run = |arguments: &[&str]| {
        let output = leakhound(&[&["run", "--duration", "1s"], arguments, &["--", "sleep", "60"]].concat());
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(output.status.code(), Some(0), "{err}");
        (out, err)
    };
    let (out, err) = run(&[]);
    assert!(
        err.contains("room for 1 snapshot") && err.contains("--duration 3s or more, better 20s"),
        "{err}"
    );
    assert!(
        out.contains("1 snapshot is too few to tell growth from chance: at least 3 are needed, 20 are good.")
    );
    assert_eq!(run(&["--quiet"]).1, "", "nobody asked");
    assert_eq!(run(&["--interval", "300ms"]).1, "", "three are enough");
}

#[test]
fn growth_is_titled_by_the_programs_own_line() {
    if !can_probe() {
        return;
    }
    let text = answer(&["--mode", "growth", "--duration", "5s", "--interval", "500ms"], &["2000", "60"]);
    let table = text.lines().skip_while(|line| !line.contains("WHERE")).nth(1).unwrap();
    assert!(table.contains("examples/seed.c:"), "{text}");
    assert!(text.contains("of the runtime)"), "what it called is named: {text}");
    assert!(text.contains("pages") && !text.contains("probes on"), "{text}");
}

#[test]
fn a_program_that_ends_early_is_said_to_and_how() {
    if !can_probe() {
        return;
    }
    for (script, how) in [
        ("exit 7", "with exit status 7."),
        ("kill -SEGV $$", "with signal SIGSEGV."),
        ("exit 0", "exit status 0."),
    ] {
        let output = leakhound(&["run", "--duration", "30s", "--", "sh", "-c", script]);
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|line| line.contains("The program ended before")).unwrap_or_default();
        assert!(line.ends_with(how) && line.contains(" s of 30 s, "), "{script}: {text}");
    }
    let mut target = start(seed().to_str().unwrap(), &["200", "60"]);
    let pid = target.0.id().to_string();
    wait_for("the program to be itself", || {
        std::fs::read_link(format!("/proc/{pid}/exe")).ok().filter(|path| path.ends_with("seed"))
    });
    let watching = std::thread::spawn(move || {
        leakhound(&["run", "--duration", "60s", "--interval", "200ms", "--pid", &pid]).stdout
    });
    wait_for("probes to be on", || is_traced(target.0.id()).then_some(()));
    target.0.kill().unwrap();
    target.0.wait().unwrap();
    let text = String::from_utf8(watching.join().unwrap()).unwrap();
    assert!(text.contains("The target ended before the time was over, after "), "{text}");
}

/// A probe is in the program: the kernel has put a page of its own into it.
fn is_traced(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("[uprobes]"))
}

/// A file system with room for little, until it is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(folder.path());
        assert!(mount.status().unwrap().success());
        Self(folder)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_costs_the_log_of_blocks_alone() {
    if !can_probe() {
        return;
    }
    let (seed, disk, folder) = (seed(), Small::mount(), tempfile::tempdir().unwrap());
    let (log, json) = (disk.0.path().join("blocks.zst"), folder.path().join("out.json"));
    let mut target: Running = start(seed.to_str().unwrap(), &["20000", "600"]);
    let pid = target.0.id().to_string();
    wait_for("the program to be itself", || {
        std::fs::read_link(format!("/proc/{pid}/exe")).ok().filter(|path| path.ends_with("seed"))
    });
    let output = leakhound(&[
        "run",
        "--pid",
        &pid,
        "--duration",
        "6s",
        "--interval",
        "1s",
        "--budget",
        "off",
        "--events",
        log.to_str().unwrap(),
        "--json",
        json.to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device") && said.contains("is incomplete after"), "{said}");
    assert_eq!((said.trim_end().lines().count(), said.matches("No space").count()), (1, 1), "{said}");
    // the answer is whole, on the terminal and in the file
    assert!(String::from_utf8_lossy(&output.stdout).contains("live in"), "{output:?}");
    let analysis: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(analysis["totals"]["allocatedCount"].as_u64().is_some_and(|count| count > 1000), "{analysis:#}");
    assert!(target.0.try_wait().unwrap().is_none(), "the target runs on");
}
