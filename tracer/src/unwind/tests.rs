use std::fs;

use super::compile;

#[test]
fn own_libc_has_a_row_for_every_address() {
    let libc = fs::read("/proc/self/exe").unwrap();
    let table = compile(&libc[..]).unwrap();
    assert_eq!(table.rows[0] & 0xfff, 0);
    assert!(table.stats.fdes > 100, "{:?}", table.stats);
}
