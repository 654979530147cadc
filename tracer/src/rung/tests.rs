use super::*;
use crate::specimen::is_root;

#[test]
fn every_rung_of_this_kernel_sees_calls_and_returns() {
    if !is_root() {
        return;
    }
    for rung in Rung::LADDER {
        prove(rung).unwrap_or_else(|why| panic!("{}: {why}", rung.name()));
    }
}

/// An agent begins several investigations at once: none may count the calls of another one's self-test.
#[test]
fn self_tests_of_one_process_do_not_see_each_other() {
    if !is_root() {
        return;
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    prove(Rung::Session).unwrap();
                }
            });
        }
    });
}
