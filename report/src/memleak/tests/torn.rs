//! Logs that were cut off, and lines that other output tore apart.

use super::*;

const LOGS: [&str; 4] = [KERNEL_LOG, USER_LOG, COMMAND_LOG, COMBINED_LOG];

#[test]
fn a_torn_stack_keeps_its_value_for_that_snapshot() {
    // as two programs write to one file: memleak in blocks of 8 KiB, the other by line
    let (before, after) = COMMAND_LOG.split_at(COMMAND_LOG.find("+0xc [shop]\n").unwrap());
    let torn = format!("{before}served 1 requests\n{after}");
    let (whole, torn) = (read(COMMAND_LOG), read(&torn));
    assert_eq!(lost(&torn, "stackDamagedInLog"), 1);
    assert_eq!(torn.skipped.count(Skip::UnknownLine), whole.skipped.count(Skip::UnknownLine) + 2);
    assert_eq!(torn.stacks.len(), whole.stacks.len(), "no stack of half a line");
    let name =
        "std::_Function_handler<void (int), main::{lambda(int)#1}>::_M_invoke(std::_Any_data const&, int&&)";
    assert_eq!(live(&torn, name)[1..], live(&whole, name)[1..]);
}

#[test]
fn a_missing_frame_of_libbpf_tools_is_noticed_by_its_number() {
    let torn = USER_LOG.replacen("\t1 [<000055e46b45e234>] main+0x36 [/srv/app/seed]\n", "\n", 1);
    let torn = read(&torn);
    assert_eq!(torn.stacks.len(), 3);
    assert_eq!(lost(&torn, "stackDamagedInLog"), 1);
    assert_eq!(live(&torn, "third_leak")[1..], live(&read(USER_LOG), "third_leak")[1..]);
}

/// Cut anywhere, a log gives snapshots of the whole log, and no stack that is not in it.
#[test]
fn a_log_cut_off_anywhere_invents_nothing() {
    for log in LOGS {
        let whole = read(log);
        let mut snapshots_before = 0;
        for end in (0..log.len()).step_by(if log.len() > 10_000 { 331 } else { 3 }) {
            let Ok(cut) = read_log(&log.as_bytes()[..end]) else {
                assert!(snapshots_before == 0, "a longer log has no fewer snapshots");
                continue;
            };
            let is_only = cut.snapshots.len() == 1;
            for stack in &cut.stacks {
                let known = |frames: &[crate::recording::Frame]| {
                    frames == stack.frames || is_only && frames.starts_with(&stack.frames)
                };
                let known = whole.stacks.iter().any(|whole| known(&whole.frames));
                assert!(known || is_only, "{end}: {:?}", stack.frames);
            }
            // the list of the last snapshot may be incomplete, those before are as they were
            for at in 0..cut.snapshots.len().saturating_sub(1) {
                assert_eq!(cut.snapshots[at].stacks, whole.snapshots[at].stacks, "{end}");
            }
            snapshots_before = cut.snapshots.len();
        }
    }
}

#[test]
fn a_snapshot_cut_off_is_left_out_and_counted() {
    let cut = |end: &str| read(&USER_LOG[..USER_LOG.rfind(end).unwrap()]);
    for end in ["first_leak", "453632", "+0x1a", "[/usr/lib"] {
        let cut = cut(end);
        assert_eq!(cut.snapshots.len(), 2, "{end}");
        assert_eq!(cut.skipped.count(Skip::CutOff), 1, "{end}");
        assert!(cut.end.is_none(), "{end}");
    }
    let whole = cut("done");
    assert_eq!((whole.snapshots.len(), whole.skipped.is_empty()), (3, true));
}
