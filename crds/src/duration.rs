//! Durations as users write them: `90s`, `10m`, `1h30m` (GEP-2257, a strict part of what Go reads).

use std::time::Duration;

use thiserror::Error;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a duration: write up to four numbers of up to five digits with units, like 90s, 10m or 1h30m"
)]
pub struct DurationError(String);

/// Reads a duration: one to four numbers of one to five digits, each followed by `h`, `m`, `s` or `ms`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let bad = || DurationError(text.chars().take(40).collect());
    let mut rest = text;
    let mut sum = Duration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        if !(1..=5).contains(&digits) {
            return Err(bad());
        }
        let number: u64 = number.parse().ok().ok_or_else(bad)?;
        let unit = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        sum += match &tail[..unit] {
            "h" => Duration::from_secs(number * 3600),
            "m" => Duration::from_secs(number * 60),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return Err(bad()),
        };
        rest = &tail[unit..];
        if rest.is_empty() {
            return Ok(sum);
        }
    }
    Err(bad())
}

/// Writes a duration so that [`parse`] reads it again, cut to milliseconds; hours beyond 99999 are cut to that.
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        ((seconds / 3600).min(99_999), "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(duration.subsec_millis()), "ms"),
    ];
    let mut text = String::new();
    for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
        text.push_str(&number.to_string());
        text.push_str(unit);
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_add_up() {
        for (text, millis) in [
            ("15s", 15_000),
            ("1h30m", 5_400_000),
            ("4999ms", 4_999),
            ("1h1m1s1ms", 3_661_001),
            ("1m1m", 120_000),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_the_server_refuses_is_refused_here() {
        for text in
            ["", "10", "s", "10 minutes", "1d", "-5s", "1.5h", "100000s", "1s1s1s1s1s", "10m\n", "１s"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            parse("10 minutes").map_err(|error| error.to_string()),
            Err("\"10 minutes\" is not a duration: write up to four numbers of up to five digits with units, \
                 like 90s, 10m or 1h30m"
                .to_owned())
        );
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(millis in 0..99_999 * 3_600_000_u64) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn whatever_the_pattern_admits_is_read(text in "([0-9]{1,5}(h|m|s|ms)){1,4}") {
            prop_assert!(parse(&text).is_ok());
        }
    }
}
