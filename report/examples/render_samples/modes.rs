//! What is watched otherwise than block by block: pages in Growth mode, and a sample of the blocks.

use leakhound_report::recording::{EventKind, Mode, Overhead, Recording};

use crate::plant::{Behaviour, Planted, Scene, allocator, event, line};

/// A program whose own allocator takes ever more pages.
pub(crate) fn growth() -> Recording {
    let mut scene = Scene::of("/usr/bin/gateway --listen :80", &["/usr/bin/gateway"], 30);
    scene.header.mode = Mode::Growth;
    scene.header.allocators.clear();
    scene.header.host.attach = "tracepoint".to_owned();
    let stack = |names: &[&str], behaviour: Behaviour| Planted {
        frames: names
            .iter()
            .zip(100..)
            .map(|(name, at)| line(name, "/src/gateway/route.go", at, 0))
            .collect(),
        cut_short: None,
        block: 4_096,
        behaviour,
    };
    scene.record(&[
        stack(&["main.(*Table).insert", "main.serve", "main.main"], Behaviour::Leak { stay: 260, churn: 0 }),
        stack(&["main.loadRoutes", "main.main"], Behaviour::Plateau { blocks: 6_000 }),
        stack(&["main.renderPage", "main.serve", "main.main"], Behaviour::Sawtooth { step: 90, period: 6 }),
    ])
}

/// A busy program of which one block in every 512 KiB was followed, after watching had cost too much.
pub(crate) fn sampled() -> Recording {
    const PERIOD: u64 = 512 << 10;
    let mut scene = Scene::of("/usr/bin/broker --shards 8", &["/usr/bin/broker", "/lib/libc.so.6"], 40);
    scene.header.settings.sample_period_bytes = PERIOD;
    scene.events.push(event(2, EventKind::BudgetStep, "Sampling every 512 KiB from here on"));
    scene.end = Some(Overhead {
        cpu_before: Some(0.81),
        cpu_during: Some(0.84),
        cpu_after: Some(0.80),
        ..scene.end.unwrap_or_default()
    });
    let stack = |name: &str, block: u64, behaviour: Behaviour| Planted {
        frames: vec![
            allocator("malloc", 1),
            line(name, "/src/broker/queue.c", 61, 0),
            line("main", "/src/broker/main.c", 20, 0),
        ],
        cut_short: None,
        block,
        behaviour,
    };
    let mut recording = scene.record(&[
        stack("queue_push", 65_536, Behaviour::Leak { stay: 60, churn: 40 }),
        stack("read_frame", 4_096, Behaviour::Cache { blocks: 2_000, ttl: 2 }),
        stack("open_shard", 1 << 20, Behaviour::Plateau { blocks: 64 }),
    ]);
    for counters in recording.snapshots.iter_mut().flat_map(|snapshot| &mut snapshot.stacks) {
        counters.live_error_bytes = ((counters.live_bytes * PERIOD) as f64).sqrt() as u64;
    }
    recording
}
