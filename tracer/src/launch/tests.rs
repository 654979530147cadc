use super::*;
use crate::maps;

fn words(command: &[&str]) -> Vec<OsString> {
    command.iter().map(OsString::from).collect()
}

#[test]
fn libraries_are_mapped_before_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made");
    let mut launched = Launched::spawn(&words(&["touch", file.to_str().unwrap()]), false).unwrap();
    let mapped = maps::executable(launched.id()).unwrap();
    assert!(mapped.iter().any(|mapping| mapping.path.to_string().contains("libc.so")), "{mapped:?}");
    assert!(!file.exists(), "it ran before it was let go");
    launched.go().unwrap();
    assert!(launched.child.wait().unwrap().success());
    assert!(file.exists());
}

#[test]
fn a_script_stops_at_its_interpreter() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\nexit 7\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut launched = Launched::spawn(&[script.into()], false).unwrap();
    launched.go().unwrap();
    assert_eq!(launched.child.wait().unwrap().code(), Some(7));
}

#[test]
fn what_cannot_start_says_why() {
    let start = |command: &[&str]| Launched::spawn(&words(command), false).unwrap_err().to_string();
    assert!(start(&["/does/not/exist"]).contains("check its name"));
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "no program").unwrap();
    assert!(start(&[text.to_str().unwrap()]).contains("chmod +x"));
    assert!(matches!(Launched::spawn(&[], false), Err(LaunchError::Empty)));
}

#[test]
fn what_we_started_we_can_end() {
    let mut launched = Launched::spawn(&words(&["sleep", "100"]), false).unwrap();
    launched.go().unwrap();
    let status = launched.stop().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    assert!(launched.id().verify().is_err());
}

#[test]
fn what_ignores_us_is_ended_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready");
    let script = format!("trap '' TERM; touch {}; while :; do sleep 0.1; done", ready.display());
    let mut launched = Launched::spawn(&words(&["sh", "-c", &script]), false).unwrap();
    launched.go().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "never got ready");
        std::thread::yield_now();
    }
    assert_eq!(launched.stop().unwrap().signal(), Some(libc::SIGKILL));
}
