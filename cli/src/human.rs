//! Numbers as a person reads them: binary units, three figures.

/// `1.46 MiB`, `612 B`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{} {}", three_figures(value), UNITS[unit]) }
}

/// `+1.46 MiB/h`, `-612 B/h`, `0`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and the sign is printed apart"
)]
pub(crate) fn bytes_per_hour(rate: f64) -> String {
    let magnitude = rate.abs().round() as u64;
    match magnitude {
        0 => "0".into(),
        _ => format!("{}{}/h", if rate < 0.0 { "-" } else { "+" }, bytes(magnitude)),
    }
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `2 d 3 h`, `1 h 5 min`, `42 s`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and times are positive"
)]
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..3600 => format!("{} min", whole / 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

fn three_figures(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_figures() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.00 KiB");
        assert_eq!(bytes(1_534_000), "1.46 MiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1.00 MiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn rates_have_a_sign() {
        assert_eq!(bytes_per_hour(2048.0), "+2.00 KiB/h");
        assert_eq!(bytes_per_hour(-2048.0), "-2.00 KiB/h");
        assert_eq!(bytes_per_hour(0.2), "0");
        assert_eq!(bytes_per_hour(f64::NAN), "0");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123_456), "123,456");
    }

    #[test]
    fn times_are_rough() {
        assert_eq!(seconds(42.4), "42 s");
        assert_eq!(seconds(3900.0), "1 h 5 min");
        assert_eq!(seconds(2.0 * 86_400.0 + 3.0 * 3600.0), "2 d 3 h");
    }
}
