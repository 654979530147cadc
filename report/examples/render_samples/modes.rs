//! What is watched otherwise than block by block: pages in Growth mode.

use leakhound_report::recording::{Mode, Recording};

use crate::plant::{Behaviour, Planted, Scene, line};

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
