use proptest::prelude::*;

use super::*;

/// Reads zigzag varints back, as the page does.
pub(in crate::html) fn read_varints(bytes: &[u8]) -> Vec<i64> {
    let mut values = Vec::new();
    let mut bytes = bytes.iter();
    while let Some(&first) = bytes.next() {
        let (mut zigzag, mut shift, mut byte) = (u64::from(first & 0x7f), 7, first);
        while byte & 0x80 != 0 {
            byte = *bytes.next().expect("a varint must not end in its middle");
            zigzag |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        values.push((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed());
    }
    values
}

proptest! {
    #[test]
    fn what_is_packed_comes_back(values in proptest::collection::vec(-MAX_SAFE..MAX_SAFE, 0..200)) {
        let mut columns = Columns::default();
        columns.plain("a", values.iter().copied());
        prop_assert_eq!(read_varints(&columns.bytes), values);
    }

    #[test]
    fn differences_begin_again_at_every_stride(values in proptest::collection::vec(0..MAX_SAFE, 0..60), stride in 1..20_usize) {
        let mut columns = Columns::default();
        columns.differences("a", stride, values.iter().copied());
        let mut back = read_varints(&columns.bytes);
        for at in 0..back.len() {
            if at % stride != 0 {
                back[at] += back[at - 1];
            }
        }
        prop_assert_eq!(back, values);
    }

    #[test]
    fn scaled_keeps_zero_apart_from_nothing(value in -1e12..1e12_f64) {
        let packed = scaled(Some(value), 1.0);
        prop_assert_ne!(packed, 0);
        let back = if packed < 0 { packed } else { packed - 1 };
        prop_assert!((back as f64 - value).abs() <= 0.5);
    }
}

#[test]
fn values_that_are_none_or_no_numbers_are_nothing() {
    for value in [None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)] {
        assert_eq!(scaled(value, 1e3), 0);
    }
    assert_eq!(index(None), 0);
    assert_eq!(index(Some(0)), 1);
}

#[test]
fn counters_beyond_what_javascript_holds_are_held_at_it() {
    assert_eq!(int(u64::MAX), MAX_SAFE);
    assert_eq!(int(7), 7);
    assert_eq!(scaled(Some(1e300), 1.0), MAX_SAFE);
}

#[test]
fn small_values_take_one_byte() {
    let mut columns = Columns::default();
    columns.plain("a", [0, -1, 1, 63, -64]);
    assert_eq!(columns.bytes, [0, 1, 2, 126, 127]);
    columns.plain("b", [64]);
    assert_eq!(columns.lengths, [("a", 5), ("b", 2)]);
}
