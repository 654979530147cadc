//! `leakhound doctor`: what this kernel and these privileges allow, what is missing, and how to get it.

use anyhow::Result;
use leakhound_report::recording::Mode;
use leakhound_tracer::capabilities::Capabilities;
use serde_json::json;

use crate::{Outcome, args::Doctor, destination::Destination};

pub(crate) fn doctor(doctor: &Doctor) -> Result<Outcome> {
    let capabilities = Capabilities::probe(true).with_modes(&[Mode::Heap, Mode::Growth, Mode::Kernel]);
    let text = if doctor.json { json(&capabilities)? } else { text(&capabilities) };
    Destination::Stdout.write(text.as_bytes())?;
    Ok(Outcome::Worked)
}

/// What can be watched.
const MODES: [(Mode, &str, &str); 3] = [
    (Mode::Heap, "heap", "blocks that a program allocates and does not free"),
    (Mode::Growth, "growth", "where a program's memory grows, whatever allocates it"),
    (Mode::Kernel, "kernel", "what the kernel itself allocates"),
];

fn json(capabilities: &Capabilities) -> Result<String> {
    let attach: Vec<_> = capabilities
        .rungs
        .iter()
        .map(|(rung, result)| json!({ "way": rung.name(), "works": result.is_ok(), "why": result.as_ref().err() }))
        .collect();
    let modes: Vec<_> = MODES
        .iter()
        .map(|(mode, name, _)| {
            let obstacle = capabilities.obstacle_to(*mode);
            json!({ "mode": name, "works": obstacle.is_none(), "why": obstacle })
        })
        .collect();
    let missing: Vec<_> = capabilities
        .missing
        .iter()
        .map(|(name, purpose)| json!({ "capability": name, "neededFor": purpose }))
        .collect();
    let value = json!({
        "kernel": capabilities.kernel,
        "architecture": capabilities.architecture,
        "btf": capabilities.btf,
        "missingCapabilities": missing,
        "attach": attach,
        "modes": modes,
        "ready": capabilities.obstacle().is_none(),
    });
    Ok(format!("{}\n", serde_json::to_string_pretty(&value)?))
}

fn text(capabilities: &Capabilities) -> String {
    let mut lines = vec![format!("Kernel {} on {}", capabilities.kernel, capabilities.architecture)];
    lines.push(match capabilities.btf {
        true => "  ok       the kernel describes its types (BTF)".into(),
        false => "  MISSING  /sys/kernel/btf/vmlinux: use a kernel with CONFIG_DEBUG_INFO_BTF=y".into(),
    });
    lines.push("Privileges".into());
    if capabilities.missing.is_empty() {
        lines.push("  ok       all that are needed".into());
    }
    for (name, purpose) in &capabilities.missing {
        lines.push(format!("  MISSING  {name}, {purpose}: run as root, or `setcap` it on the program"));
    }
    lines.push("Ways of attaching, the best first".into());
    for (rung, result) in &capabilities.rungs {
        lines.push(match result {
            Ok(()) => format!("  ok       {}", rung.name()),
            Err(why) => format!("  no       {}: {}", rung.name(), why.lines().next().unwrap_or_default()),
        });
    }
    lines.push("Modes".into());
    for (mode, name, what) in MODES {
        lines.push(match capabilities.obstacle_to(mode) {
            None => format!("  ok       {name}: {what}"),
            Some(why) => format!("  no       {name}: {why}"),
        });
    }
    lines.push(match capabilities.obstacle() {
        None => "Ready: `leakhound run --pid N` works here.".into(),
        Some(obstacle) => format!("Not ready: {obstacle}"),
    });
    lines.join("\n") + "\n"
}
