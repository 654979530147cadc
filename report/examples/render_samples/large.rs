//! 10,000 stacks of up to 40 frames over 60 snapshots: more than any page of any tool shows today.

use leakhound_report::recording::{Frame, Recording};

use crate::plant::{Behaviour, Planted, Scene, allocator, line};

const WORDS: [&str; 8] = ["Buffer", "Session", "Header", "Arena", "Table", "Block", "Cache", "Stream"];

/// A recording with so many stacks and snapshots. The same numbers give the same recording.
pub(crate) fn recording(stacks: u32, snapshots: u32) -> Recording {
    let mut scene = Scene::of(
        "/opt/service/bin/service --config /etc/service.toml",
        &["/opt/service/bin/service", "/lib/libc.so.6", "/opt/service/lib/libengine.so"],
        snapshots,
    );
    scene.header.target.memory_limit_bytes = Some(16 << 30);
    scene.ledger = vec![("allocations", 91_480_113), ("frees", 84_310_007), ("walksComplete", 91_480_113)];
    scene.beside = Some(|_| 310 << 20);
    let mut random = Random(42);
    let mut path: Vec<Frame> = Vec::new();
    let planted: Vec<Planted> = (0..stacks).map(|n| plant(n, &mut path, &mut random)).collect();
    scene.record(&planted)
}

fn plant(n: u32, path: &mut Vec<Frame>, random: &mut Random) -> Planted {
    // Most stacks share most of their outer frames with the one before.
    let shared = 38.0 * (1.0 - random.share().powi(3));
    path.truncate(shared as usize);
    while path.len() < 39 {
        let function = (random.share().powi(2) * 6_000.0) as u32;
        let (a, b) = (WORDS[function as usize % 8], WORDS[function as usize / 8 % 8]);
        let name = format!("{}::{a}{function}::make{b}(unsigned long)", b.to_lowercase());
        let file = format!("/build/service/src/{}_{}.cc", a.to_lowercase(), function % 800);
        path.push(line(
            &name,
            &file,
            1 + random.below(2_000),
            if function.is_multiple_of(3) { 2 } else { 0 },
        ));
    }
    let frames = [allocator("malloc", 1)].into_iter().chain(path.iter().rev().cloned()).collect();
    let block = 16 << random.below(8);
    let blocks = u64::from(random.below(400)) + 1;
    let behaviour = match random.below(10) {
        _ if n % 800 == 7 => Behaviour::Leak { stay: 200 + blocks * 8, churn: 300 },
        0 => Behaviour::Saturating { blocks: 40 * blocks, half: 6.0 },
        1 => Behaviour::Sawtooth { step: blocks, period: 3 + random.below(12) },
        2 => Behaviour::Step { blocks: 8 * blocks, at: [random.below(30), 30 + random.below(30)] },
        3 => Behaviour::Transient { blocks, from: random.below(40), to: 40 + random.below(20) },
        4..=6 => Behaviour::Cache { blocks, ttl: 1 + random.below(6) },
        _ => Behaviour::Plateau { blocks: 20 * blocks },
    };
    Planted { frames, cut_short: None, block, behaviour }
}

/// A linear congruential generator (Knuth's MMIX constants): the sample must be the same everywhere and for ever.
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.share() * f64::from(limit)) as u32
    }
}
