//! Ways in which one stack's blocks come and go, each with the class that a perfect tool would give it.

use leakhound_report::analysis::Class;

use crate::{
    heap::{Block, Watch},
    random::Random,
};

/// Blocks of one stack during `watch`, behaving like `class`.
pub(crate) fn behave(class: Class, watch: Watch, random: &mut Random) -> Vec<Block> {
    let mut blocks = match class {
        Class::Leak => leak(watch, random),
        Class::Suspected => backlog_or_buffer(watch, random),
        Class::Saturating => filling_cache(watch, random),
        Class::Plateau => working_set(watch, random),
        Class::Sawtooth => purged(watch, random),
        Class::Step => jumps(watch, random),
        Class::Transient => batch(watch, random),
        Class::Inconclusive => leak(watch, random), // the recording is what is too short
    };
    blocks.sort_by(|a, b| a.born.total_cmp(&b.born));
    blocks
}

pub(crate) const NEVER: f64 = f64::INFINITY;

/// Times of arrival from `from` to `to`, at random with this many expected in all.
pub(crate) fn arrivals(random: &mut Random, from: f64, to: f64, expected: f64) -> Vec<f64> {
    let count = random.poisson(expected);
    let mut times: Vec<f64> = (0..count).map(|_| random.between(from, to)).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Requests that are freed soon: `level` of them are live on average.
pub(crate) fn churn(watch: Watch, random: &mut Random, level: f64, lifetime: f64, bytes: u64) -> Vec<Block> {
    // 20,000 blocks are enough to see anything; fewer and larger ones swing more, which is harder.
    let expected = (level * watch.duration() / lifetime).min(20_000.0);
    arrivals(random, 0.0, watch.duration(), expected)
        .into_iter()
        .map(|born| Block {
            born,
            died: born + random.wait(lifetime),
            bytes: random.whole(bytes / 2, bytes * 3 / 2),
        })
        .collect()
}

/// Steady losses: alone, behind a start-up, beginning late, or one in many of a busy stack's blocks.
fn leak(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let bytes = random.whole(16, 4000);
    let each_interval = random.between(1.5, 20.0);
    let from = if random.chance(0.2) { random.between(0.0, 0.25) * duration } else { 0.0 };
    let lost = arrivals(random, from, duration, each_interval * (duration - from) / watch.interval);
    let mut blocks: Vec<Block> = lost.into_iter().map(|born| Block { born, died: NEVER, bytes }).collect();
    if random.chance(0.3) {
        let start_up = Block {
            born: random.between(0.0, 0.1) * duration,
            died: NEVER,
            bytes: bytes * random.whole(1, 500),
        };
        blocks.push(start_up);
    }
    if random.chance(0.5) {
        // Lives a fraction of an interval, as requests do; up to 50 times what one interval loses is live.
        let lifetime = random.between(0.02, 0.3) * watch.interval;
        let level = random.between(0.0, 50.0) * each_interval;
        blocks.extend(churn(watch, random, level, lifetime, bytes));
    }
    blocks
}

/// A queue that falls behind, or one block that is made ever larger.
fn backlog_or_buffer(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    if random.chance(0.5) {
        let step = random.between(0.1, 0.7) * watch.interval;
        let bytes = random.whole(100, 10_000);
        let count = (duration / step) as u64;
        let at = |number: u64| number as f64 * step;
        let died = |n| if n < count { at(n + 1) } else { NEVER };
        return (0..=count).map(|n| Block { born: at(n), died: died(n), bytes: bytes * (n + 1) }).collect();
    }
    let served = random.between(0.3, 0.8);
    let expected = random.between(20.0, 60.0) * f64::from(watch.snapshots);
    let times = arrivals(random, 0.0, duration, expected);
    let bytes = random.whole(100, 1000);
    // The n-th to come leaves when n services are over.
    let service = duration / times.len() as f64 / served;
    let mut free_at = 0.0;
    times
        .into_iter()
        .map(|born| {
            free_at = f64::max(born, free_at) + service;
            Block { born, died: free_at, bytes }
        })
        .collect()
}

/// A cache of which ever more is there already.
fn filling_cache(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let slots = random.whole(300, 3000) as usize;
    let scale = duration / random.between(1.6, 4.5); // 80 to 99 % full in the end
    let bytes = random.whole(64, 2000);
    let mut there = vec![false; slots];
    let mut blocks = Vec::new();
    for born in arrivals(random, 0.0, duration, slots as f64 * duration / scale) {
        let slot = random.whole(0, slots as u64 - 1) as usize;
        if !std::mem::replace(&mut there[slot], true) {
            blocks.push(Block { born, died: NEVER, bytes });
        }
    }
    blocks
}

/// Start-up, requests in flight, sessions with a time to live, or a cache that evicts one for one.
fn working_set(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let bytes = random.whole(16, 4000);
    match random.whole(0, 3) {
        0 => {
            let until = random.between(0.01, 0.25) * duration;
            let expected = random.between(5.0, 500.0);
            let times = arrivals(random, 0.0, until, expected);
            let first = Block { born: 0.0, died: NEVER, bytes };
            times.into_iter().map(|born| Block { born, ..first }).chain([first]).collect()
        }
        1 => {
            let level = random.between(20.0, 500.0);
            let lifetime = random.between(0.02, 0.3) * watch.interval;
            churn(watch, random, level, lifetime, bytes)
        }
        2 => {
            let lifetime = random.between(0.05, 0.25) * duration;
            let level = random.between(100.0, 1000.0);
            let swing = random.between(0.0, 0.5);
            arrivals(random, 0.0, duration, level * duration / lifetime)
                .into_iter()
                .map(|born| Block { born, died: born + lifetime * random.between(1.0 - swing, 1.0), bytes })
                .collect()
        }
        _ => {
            let expected = random.between(20.0, 100.0) * f64::from(watch.snapshots);
            let times = arrivals(random, 0.0, duration, expected);
            let kept = (times.len() as f64 * random.between(0.05, 0.25)) as usize + 1;
            let died = |n: usize| times.get(n + kept).copied().unwrap_or(NEVER);
            times.iter().enumerate().map(|(n, born)| Block { born: *born, died: died(n), bytes }).collect()
        }
    }
}

/// Filled and purged at least twice.
fn purged(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let period = random.between(f64::max(4.0 / f64::from(watch.snapshots), 0.12), 0.38) * duration;
    let begin = random.between(0.0, 0.9) * period;
    let kept = if random.chance(0.5) { 0.0 } else { random.between(0.0, 0.4) };
    let bytes = random.whole(64, 2000);
    let expected = random.between(10.0, 60.0) * f64::from(watch.snapshots);
    arrivals(random, 0.0, duration, expected)
        .into_iter()
        .map(|born| {
            let mut purge = ((born + begin) / period).floor() + 1.0;
            while random.chance(kept) {
                purge += 1.0;
            }
            Block { born, died: purge * period - begin, bytes }
        })
        .collect()
}

/// One to a few jumps, not all at the start, over a level.
fn jumps(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let bytes = random.whole(1000, 100_000);
    let most = (u64::from(watch.snapshots) / 6).clamp(1, 4);
    let count = random.whole(1, most);
    let level = bytes * random.whole(0, 3) / 2;
    let mut blocks = vec![Block { born: 0.0, died: NEVER, bytes: level + 1 }];
    for number in 0..count {
        let from = if number == 0 { 0.45 } else { 0.1 };
        let at = random.between(from, 0.93) * duration;
        let each = random.whole(1, 4);
        blocks.extend((0..each).map(|_| Block { born: at, died: NEVER, bytes: bytes / each }));
    }
    blocks
}

/// Collected for a while, then freed all at once.
fn batch(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let begins = random.between(0.0, 0.3) * duration;
    let ends = random.between(0.5, 0.93) * duration;
    let bytes = random.whole(64, 2000);
    let expected = random.between(10.0, 60.0) * f64::from(watch.snapshots);
    arrivals(random, begins, ends, expected)
        .into_iter()
        .map(|born| Block { born, died: ends, bytes })
        .collect()
}

/// What no perfect tool could always tell: growth and churn of every kind, with nothing lost.
pub(crate) fn tempt(watch: Watch, random: &mut Random) -> Vec<Block> {
    let duration = watch.duration();
    let bytes = random.whole(16, 4000);
    let expected = random.between(20.0, 200.0) * f64::from(watch.snapshots);
    match random.whole(0, 3) {
        // Lifetimes by chance, up to a tenth of the run on average: some blocks live four times as long.
        0 => {
            let lifetime = random.between(0.01, 0.1) * duration;
            churn(watch, random, expected * lifetime / duration, lifetime, bytes)
        }
        // Lifetimes over four orders of magnitude: most die at once, few live long.
        1 => {
            let shortest = random.between(0.0005, 0.005) * duration;
            let times = arrivals(random, 0.0, duration, expected);
            let lifetime = |random: &mut Random| shortest * random.between(1e-3, 1.0).powf(-1.0 / 1.5);
            times.into_iter().map(|born| Block { born, died: born + lifetime(random), bytes }).collect()
        }
        // More and more to do.
        2 => {
            let lifetime = random.between(0.02, 0.15) * duration;
            let times = arrivals(random, 0.0, 1.0, expected);
            let born = |share: f64| share.sqrt() * duration;
            times
                .into_iter()
                .map(|at| Block { born: born(at), died: born(at) + random.wait(lifetime), bytes })
                .collect()
        }
        // Work in clumps.
        _ => {
            let lifetime = random.between(0.02, 0.1) * duration;
            let clumps = arrivals(random, 0.0, duration, expected / 20.0);
            let clump = |at: &f64| (*at, random.whole(1, 40));
            let sizes: Vec<(f64, u64)> = clumps.iter().map(clump).collect();
            sizes
                .into_iter()
                .flat_map(|(born, count)| std::iter::repeat_n(born, count as usize))
                .map(|born| Block { born, died: born + random.wait(lifetime), bytes })
                .collect()
        }
    }
}

/// One block in every few intervals is lost, among thousands that are not.
pub(crate) fn leak_slowly(watch: Watch, random: &mut Random) -> Vec<Block> {
    let bytes = random.whole(16, 4000);
    let lost = random.between(0.3, 1.5) * f64::from(watch.snapshots);
    let lost = arrivals(random, 0.0, watch.duration(), lost);
    let lifetime = random.between(0.02, 0.2) * watch.interval;
    let mut blocks = churn(watch, random, 200.0, lifetime, bytes);
    blocks.extend(lost.into_iter().map(|born| Block { born, died: NEVER, bytes }));
    blocks.sort_by(|a, b| a.born.total_cmp(&b.born));
    blocks
}
