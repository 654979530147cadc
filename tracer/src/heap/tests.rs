use std::time::Duration;

use super::*;
use crate::specimen::is_root;

#[test]
fn every_rung_loads() {
    if !is_root() {
        return;
    }
    let constants = Constants { cohort: Duration::from_secs(1), min_size: 0, rationed: false };
    let capacity = Capacity { blocks: 1024, counters: 1024, stacks: 64, rows: 16, pages: 16, stream: 4096 };
    for rung in Rung::LADDER {
        let heap = Heap::load(rung, constants, capacity, true)
            .unwrap_or_else(|why| panic!("{}: {why}", rung.name()));
        assert!(heap.side.counters().unwrap().is_empty());
        assert!(heap.side.stack(1).unwrap().is_none());
        assert!(heap.side.ledger().unwrap().values().all(|count| *count == 0));
    }
}
