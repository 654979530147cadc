//! What a sample shows of one stack. Blocks that come at random and are drawn by chance are drawn blocks that come at
//! random, only fewer: so the drawn ones are made alone.

use crate::{
    behaviour::{NEVER, arrivals, churn},
    heap::{Block, Watch},
    random::Random,
};

/// Chance of each block to be drawn: blocks of a sixteenth of the period.
pub(crate) const DRAWN: f64 = 0.0606;
const BYTES: u64 = 32 << 10;

/// Drawn blocks, so many on average.
pub(crate) type Behaviour = fn(Watch, f64, &mut Random) -> Vec<Block>;

fn kept(born: f64) -> Block {
    Block { born, died: NEVER, bytes: BYTES }
}

/// Every block stays, and they come steadily.
pub(crate) fn leak(watch: Watch, draws: f64, random: &mut Random) -> Vec<Block> {
    arrivals(random, 0.0, watch.duration(), draws).into_iter().map(kept).collect()
}

/// One to three jumps of many blocks each, not all at the start.
pub(crate) fn jumps(watch: Watch, draws: f64, random: &mut Random) -> Vec<Block> {
    let count = random.whole(1, 3);
    let mut blocks = Vec::new();
    for number in 0..count {
        let from = if number == 0 { 0.45 } else { 0.1 };
        let at = random.between(from, 0.93) * watch.duration();
        blocks.extend((0..random.poisson(draws / count as f64)).map(|_| kept(at)));
    }
    blocks
}

/// A start-up, or requests in flight: so many of them are drawn on average.
pub(crate) fn plateau(watch: Watch, draws: f64, random: &mut Random) -> Vec<Block> {
    if random.chance(0.5) {
        let until = random.between(0.01, 0.25) * watch.duration();
        return arrivals(random, 0.0, until, draws).into_iter().map(kept).collect();
    }
    let lifetime = random.between(0.02, 0.1) * watch.duration();
    churn(watch, random, draws, lifetime, BYTES)
}
