//! Amounts as a person reads them: binary units, three figures. Sentences of an analysis use it, and so can whoever prints one.

/// `612 B`, `1.46 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{} {}", three_figures(value), UNITS[unit]) }
}

/// `+1.46 MiB`, `-612 B`: what something changed by, from and to.
pub fn change(from: u64, to: u64) -> String {
    format!("{}{}", if to < from { '-' } else { '+' }, bytes(to.abs_diff(from)))
}

/// `1.46 MiB/h`, from bytes per second.
pub fn rate(bytes_per_second: f64) -> String {
    let hourly = (bytes_per_second * 3600.0).abs().round();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates; never negative"
    )]
    let magnitude = hourly as u64;
    format!("{}{}/h", if bytes_per_second < 0.0 && magnitude > 0 { "-" } else { "" }, bytes(magnitude))
}

/// `0.5 s`, `42 s`, `5 min`, `1 h 5 min`, `2 d 3 h`.
pub fn seconds(seconds: f64) -> String {
    let seconds = seconds.max(0.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates; never negative"
    )]
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.95 && (seconds - seconds.round()).abs() >= 0.05 => format!("{seconds:.1} s"),
        0..120 => format!("{whole} s"),
        120..3600 => format!("{} min", whole / 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `7 %`, and never `100 %` or `0 %` for a share that is neither all nor nothing.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 99.0 && percent < 100.0 => "over 99 %".to_owned(),
        percent if percent > 0.0 && percent < 1.0 => "under 1 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

/// `1 stack`, `2 stacks`.
pub fn counted(count: impl TryInto<u64>, one: &str, many: &str) -> String {
    // what does not fit into 64 bits is many
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {one}"),
        count => format!("{} {many}", grouped(count)),
    }
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts = digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok());
    parts.collect::<Vec<_>>().join(",")
}

fn three_figures(value: f64) -> String {
    let decimals = match value {
        ..9.995 => 2,
        9.995..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_three_figures_and_a_unit() {
        assert_eq!([0, 1023, 1024, 1_534_000].map(bytes), ["0 B", "1023 B", "1.00 KiB", "1.46 MiB"]);
        assert_eq!([1024 * 1024 - 1, u64::MAX].map(bytes), ["1.00 MiB", "16.0 EiB"]);
        assert_eq!([change(0, 2048), change(5, 5), change(9, 2)], ["+2.00 KiB", "+0 B", "-7 B"]);
        assert_eq!(
            [rate(1.0), rate(-1.0), rate(0.0), rate(f64::NAN)],
            ["3.52 KiB/h", "-3.52 KiB/h", "0 B/h", "0 B/h"]
        );
        let times = [0.0, 0.5, 3.0, 42.4, 300.0, 3900.0, 2.0 * 86_400.0 + 3.0 * 3600.0];
        assert_eq!(times.map(seconds), ["0 s", "0.5 s", "3 s", "42 s", "5 min", "1 h 5 min", "2 d 3 h"]);
        assert_eq!(
            [0.0, 0.001, 0.5, 0.999, 1.0].map(percent),
            ["0 %", "under 1 %", "50 %", "over 99 %", "100 %"]
        );
        let files = [0, 1, 2, 1_234_567].map(|count: u32| counted(count, "file", "files"));
        assert_eq!(files, ["0 files", "1 file", "2 files", "1,234,567 files"]);
    }
}
