//! The analysis against recordings of programs whose truth is known; `make score` makes such recordings.

#[path = "corpus/judge.rs"]
mod judge;
#[path = "corpus/table.rs"]
mod table;
#[path = "corpus/truth.rs"]
mod truth;

use std::{fs, path::Path};

use leakhound_report::{
    Options, analyze,
    recording::{self, Recording},
};

use crate::{
    judge::{judge, score_leaks},
    truth::{Case, Truth},
};

/// Fewer recordings than this prove little.
const ENOUGH: usize = 40;

#[test]
fn leaks_are_found_and_the_innocent_are_not_accused() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(here.join("../examples/corpus/truth.toml")).unwrap();
    let truth = Truth::parse(&text).unwrap();
    assert!(truth.cases.len() >= ENOUGH, "{} cases", truth.cases.len());
    let judgements: Vec<_> = truth
        .cases
        .iter()
        .map(|case| {
            let path = here.join(format!("tests/corpus/{}.lhr", case.name));
            let recording = recording::read(fs::File::open(&path).expect(&case.name)).expect(&case.name);
            assert_recorded_as_told(case, &recording);
            judge(case, &analyze(&recording, &Options::default()))
        })
        .collect();
    assert!(score_leaks(&judgements).is_good(), "{}", table::write(&judgements));
}

/// A recording made before its case was changed proves nothing about the case.
#[track_caller]
fn assert_recorded_as_told(case: &Case, recording: &Recording) {
    let header = &recording.header;
    let command = format!("{} {}", case.program, case.args.join(" "));
    assert!(header.target.command.ends_with(&command), "{}: recorded {}", case.name, header.target.command);
    assert_eq!(header.settings.duration_ns, case.seconds * 1_000_000_000, "{}", case.name);
    let family = case.build.allocator();
    let families: Vec<_> = header.allocators.iter().map(|allocator| allocator.family.as_str()).collect();
    assert!(families.contains(&family), "{}: {family} should be among {families:?}", case.name);
}
