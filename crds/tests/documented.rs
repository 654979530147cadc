//! The documentation holds what it promises: whoever reads a reason in a status finds it in docs/troubleshooting.md, with what to
//! do about it, and links lead somewhere.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Enumerations whose variants are reasons.
const ENUMERATIONS: [(&str, &str); 4] = [
    ("crds/src/probe/reason.rs", "ProbeReason"),
    ("crds/src/finding.rs", "Verdict"),
    ("operator/src/stage.rs", "EndReason"),
    ("operator/src/refusal.rs", "Reason"),
];

/// Files in which every text of one word in CamelCase is a reason.
const TEXTS: [&str; 6] = [
    "operator/src/status/conditions.rs",
    "operator/src/status/outcome.rs",
    "operator/src/stage.rs",
    "node-agent/src/status.rs",
    "node-agent/src/upload/answer.rs",
    "node-agent/src/work/delivery.rs",
];

fn read(path: &str) -> String {
    let workspace: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(workspace.join(path)).unwrap();
    // a test's words are not said to anybody
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

fn is_word(text: &str) -> bool {
    text.len() > 3
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphabetic())
        && text.contains(|c: char| c.is_ascii_lowercase())
}

fn variants(path: &str, name: &str) -> BTreeSet<String> {
    let text = read(path);
    let start = text.find(&format!("enum {name} {{")).unwrap();
    let body = text[start..].split_once('{').unwrap().1.split_once('}').unwrap().0;
    let lines = body.lines().map(|line| line.trim().trim_end_matches(','));
    lines.filter(|line| is_word(line)).map(ToOwned::to_owned).collect()
}

fn texts(path: &str) -> BTreeSet<String> {
    read(path).split('"').skip(1).step_by(2).filter(|text| is_word(text)).map(ToOwned::to_owned).collect()
}

#[test]
fn every_reason_has_a_row_in_the_troubleshooting_guide() {
    let mut reasons = BTreeSet::new();
    for (path, name) in ENUMERATIONS {
        let found = variants(path, name);
        assert!(found.len() > 3, "{name} is not read rightly from {path}: {found:?}");
        reasons.extend(found);
    }
    for path in TEXTS {
        let found = texts(path);
        assert!(!found.is_empty(), "no reason is read from {path}");
        reasons.extend(found);
    }
    let guide = read("docs/troubleshooting.md");
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with('|')).collect();
    let absent: Vec<&String> = reasons
        .iter()
        .filter(|reason| !rows.iter().any(|row| row.contains(&format!("`{reason}`"))))
        .collect();
    assert!(
        absent.is_empty(),
        "docs/troubleshooting.md says nothing of {absent:?}: add a row with the remedy"
    );
}

/// The files of the documentation, from the workspace's root.
fn pages() -> Vec<String> {
    let of = |folder: &str| {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pages = names.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}"));
        pages.collect::<Vec<_>>()
    };
    [of(""), of("docs/")].concat()
}

/// Without blocks of code, in which neither links nor headings are meant.
fn prose(page: &str) -> String {
    read(page).split("```").step_by(2).collect()
}

/// The anchor that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut checked = 0;
    for page in pages() {
        let folder = Path::new(&page).parent().unwrap();
        for link in prose(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            checked += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { folder.join(file).display().to_string() };
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&target);
            assert!(path.exists(), "{page} links to {link}, which is not there");
            let found = heading.is_empty()
                || prose(&target)
                    .lines()
                    .filter(|line| line.starts_with('#'))
                    .any(|line| anchor(line.trim_start_matches('#')) == heading);
            assert!(found, "{page} links to {link}, and there is no such heading");
        }
    }
    assert!(checked > 30, "only {checked} links were found: they are not read rightly");
}
