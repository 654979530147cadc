//! Texts that fit: the schema of a status counts characters.

/// At most `most` characters; what was cut shows as an ellipsis.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Growth for a column: `+420Mi/h`, `-1.5Gi/h`, `0/h`.
pub(crate) fn growth_text(bytes_per_hour: i64) -> String {
    const UNITS: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let mut value = bytes_per_hour.unsigned_abs() as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let sign = match bytes_per_hour {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    let decimals = usize::from(unit > 0 && value < 9.95);
    format!("{sign}{value:.decimals$}{}/h", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_short_and_signed() {
        for (bytes, text) in [
            (0, "0/h"),
            (1, "+1/h"),
            (-1023, "-1023/h"),
            (1 << 20, "+1.0Mi/h"),
            (420 << 20, "+420Mi/h"),
            (-(3 << 29), "-1.5Gi/h"),
            (i64::MAX, "+8.0Ei/h"),
            (i64::MIN, "-8.0Ei/h"),
        ] {
            assert_eq!(growth_text(bytes), text);
        }
    }

    #[test]
    fn texts_are_cut_by_characters() {
        assert_eq!(cut("täglich", 7), "täglich");
        assert_eq!(cut("täglich", 4), "täg…");
        assert_eq!(cut("", 4), "");
    }
}
