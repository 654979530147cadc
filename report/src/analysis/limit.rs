//! How long until the memory limit, if it goes on like this.

use crate::recording::Recording;

use super::{
    TimelinePoint,
    trend::{self, Slope},
};

/// Every pair of points has a slope: more points say no more.
const MOST_POINTS: usize = 128;

/// When the memory limit is reached, in seconds from the end of the recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Until {
    pub(super) seconds: f64,
    /// The earliest and the latest by the bounds of the rate; no latest when the rate may be nothing.
    pub(super) interval: (f64, Option<f64>),
}

/// How long until the limit. What counts against it is what the kernel charges to the target's cgroup, or else its resident
/// memory; its own trend is the rate, and where that has none yet, `leak_rate` in bytes per second. `None` without a limit,
/// a usage or growth.
pub(super) fn until(recording: &Recording, timeline: &[TimelinePoint], leak_rate: Slope) -> Option<Until> {
    let limit = recording.header.target.memory_limit_bytes? as f64;
    let charged = recording.snapshots.iter().map(|snapshot| snapshot.cgroup_bytes);
    let used = charged.zip(timeline).map(|(charged, point)| (point.at_seconds, charged.or(point.rss_bytes)));
    let (seconds, used): (Vec<f64>, Vec<f64>) =
        used.filter_map(|(at, used)| Some((at, used? as f64))).unzip();
    let now = *used.last()?;
    let every = used.len().div_ceil(MOST_POINTS).max(1);
    let thin = |values: Vec<f64>| values.into_iter().rev().step_by(every).rev().collect::<Vec<_>>();
    let (seconds, used) = (thin(seconds), thin(used));
    // The present rate is that of the second half: a start-up is over by then.
    let half = used.len() / 2;
    let rises = trend::mann_kendall(&used[half..]).is_some_and(|trend| trend.rising && trend.p_value < 0.05);
    let own = trend::theil_sen(&seconds[half..], &used[half..]);
    let rate = own.filter(|slope| rises && slope.per_second > 0.0).unwrap_or(leak_rate);
    let after = |per_second: f64| (per_second > 0.0).then(|| ((limit - now) / per_second).max(0.0));
    let seconds = after(rate.per_second)?;
    Some(Until { seconds, interval: (after(rate.high).unwrap_or(seconds), after(rate.low)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Header, Record, Snapshot, Target};

    fn after_30_seconds(
        limit: Option<u64>,
        charged: impl Fn(u64) -> Option<u64>,
        leak_rate: f64,
    ) -> Option<Until> {
        let target = Target { memory_limit_bytes: limit, ..Target::default() };
        let mut recording = Recording::new(Header { target, ..Header::default() });
        for second in 1..=30 {
            let (time_ns, cgroup_bytes) = (second * 1_000_000_000, charged(second));
            recording.push(Record::Snapshot(Snapshot { time_ns, cgroup_bytes, ..Snapshot::default() }));
        }
        let timeline = crate::analysis::totals::timeline(&recording.snapshots);
        let rate = Slope { per_second: leak_rate, low: leak_rate / 2.0, high: leak_rate * 2.0 };
        until(&recording, &timeline, rate)
    }

    #[test]
    fn the_rate_is_what_is_charged_now() {
        let line = |second| Some(100 + 10 * second);
        let start_up = |second: u64| Some(if second < 10 { 1000 * second } else { 10_000 + second });
        let cases: [(&str, Option<Until>, Option<f64>); 6] = [
            ("600 bytes at 10 a second", after_30_seconds(Some(1000), line, 0.0), Some(60.0)),
            ("start-up does not count", after_30_seconds(Some(10_130), start_up, 0.0), Some(100.0)),
            ("flat, but a leak", after_30_seconds(Some(1000), |_| Some(500), 5.0), Some(100.0)),
            ("flat", after_30_seconds(Some(1000), |_| Some(500), 0.0), None),
            ("already there", after_30_seconds(Some(200), line, 0.0), Some(0.0)),
            ("no usage known", after_30_seconds(Some(200), |_| None, 5.0), None),
        ];
        for (name, actual, expected) in cases {
            match (actual, expected) {
                (Some(actual), Some(expected)) => {
                    assert!((actual.seconds - expected).abs() < 1e-6, "{name}: {actual:?}");
                }
                (actual, expected) => assert_eq!(actual.map(|until| until.seconds), expected, "{name}"),
            }
        }
        assert_eq!(after_30_seconds(None, line, 5.0), None, "no limit");
    }

    #[test]
    fn the_interval_is_that_of_the_rate() {
        let flat = after_30_seconds(Some(1000), |_| Some(500), 5.0).map(|until| until.interval);
        assert_eq!(flat, Some((50.0, Some(200.0))));
        let noisy = |second: u64| Some(100 + 10 * second + 7 * second * second % 23);
        let Some(Until { seconds, interval: (early, Some(late)) }) = after_30_seconds(Some(1000), noisy, 0.0)
        else {
            panic!("it grows for certain, so it has an end");
        };
        assert!(early < seconds && seconds < late, "{early} < {seconds} < {late}");
    }
}
