//! The programs of `examples/`: what leaks in them is found by its line, and nothing that does not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use support::{LEAKHOUND, can_probe};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Compiles an example as its Makefile does.
fn compile(compiler: &str, source: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.replace('.', "-"));
    let mut command = Command::new(compiler);
    command.args(["-g", "-O2", "-o"]).arg(&program).arg(examples().join(source));
    assert!(command.status().unwrap().success(), "{source}");
    program
}

fn watch(program: &Path, rate: &str) -> Value {
    let output = Command::new(LEAKHOUND)
        .args(["run", "--duration", "8s", "--interval", "500ms", "--json", "-", "--"])
        .arg(program)
        .args([rate, "120"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The source lines, as text, at which a finding that is called a leak or suspected allocates in the program's own file.
fn suspects(analysis: &Value, source: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(examples().join(source)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let findings = analysis["findings"].as_array().unwrap();
    let suspicious = findings.iter().filter(|one| one["class"] == "Leak" || one["class"] == "Suspected");
    suspicious
        .map(|finding| {
            let frames = finding["frames"].as_array().unwrap();
            let own = |frame: &&Value| frame["file"].as_str().is_some_and(|file| file.ends_with(source));
            let frame = frames.iter().find(own).unwrap_or_else(|| panic!("not of {source}: {finding:#}"));
            let line = usize::try_from(frame["line"].as_u64().unwrap()).unwrap();
            lines[line - 1].trim().to_owned()
        })
        .collect()
}

/// Every one of these texts is in a suspicious line, and every suspicious line has one of them.
fn assert_exactly(found: &BTreeSet<String>, expected: &[&str]) {
    let has = |line: &String, text: &str| line.contains(text);
    for text in expected {
        assert!(found.iter().any(|line| has(line, text)), "{text} is missing: {found:#?}");
    }
    for line in found {
        assert!(expected.iter().any(|text| has(line, text)), "{line} is no leak: {found:#?}");
    }
}

#[test]
fn rusts_four_ways_to_leak_are_found_by_line() {
    if !can_probe() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust-examples");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "--locked", "--package", "rust-leaks", "--manifest-path"]);
    build.arg(examples().join("Cargo.toml")).arg("--target-dir").arg(&folder);
    assert!(build.status().unwrap().success());
    let analysis = watch(&folder.join("release/rust-leaks"), "200");
    let expected = [
        "let parent = Rc::new(",
        "let child = Rc::new(",
        "parent.children.borrow_mut().push(child)",
        "let first = Arc::new(",
        "let second = Arc::new(",
        "vec![round; 32]",
        "Box::leak(format!(",
    ];
    assert_exactly(&suspects(&analysis, "rust-leaks/src/main.rs"), &expected);
}

#[test]
fn cpps_leaks_are_found_by_line() {
    if can_probe() {
        let analysis = watch(&compile("c++", "cpp-leaks.cpp"), "200");
        let expected = ["new Listener{", "new double[count]", "seen_requests.emplace("];
        assert_exactly(&suspects(&analysis, "cpp-leaks.cpp"), &expected);
    }
}

#[test]
fn a_busy_program_without_a_leak_is_not_accused() {
    if can_probe() {
        let analysis = watch(&compile("cc", "steady.c"), "2000");
        assert_exactly(&suspects(&analysis, "steady.c"), &[]);
        assert_ne!(analysis["verdict"]["name"], "LeakLikely");
        assert!(analysis["totals"]["freedCount"].as_u64().unwrap() > 1000);
    }
}
