//! Any bytes as a target's file: the unwind compiler gives an error, or a table in which every search ends well.
#![no_main]

use leakhound_tracer::unwind::compile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let aligned = data.to_vec(); // as a reader's buffer is: ELF headers are read in place
    let Ok(table) = compile(&aligned[..]) else { return };
    assert_eq!(table.rows[0] & 0xfff, 0, "the first page begins without a row");
    assert_eq!(table.rows.len(), table.stats.rows);
    let mut next = 0;
    for page in &table.pages {
        assert_eq!(page.first, next, "rows between pages");
        let rows = &table.rows[page.first as usize..page.end as usize];
        assert!(rows.is_sorted_by(|a, b| a & 0xfff < b & 0xfff), "a page is not sorted");
        next = page.end;
    }
    assert_eq!(next as usize, table.rows.len(), "rows beyond the last page");
});
