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
