//! What this node can do, in words of a cluster.

use leakhound_crds::{
    Preflight,
    investigation::Mode,
    preflight::{Missing, ModeSupport},
};
use leakhound_report::recording;
use leakhound_tracer::capabilities::Capabilities;

const MODES: [Mode; 3] = [Mode::Heap, Mode::Growth, Mode::Kernel];

/// Asks the kernel about everything that an investigation may need here.
pub(crate) fn probe() -> Capabilities {
    Capabilities::probe(false).with_modes(&MODES.map(of_tracer))
}

/// What the tracer found out.
pub(crate) fn preflight(capabilities: &Capabilities) -> Preflight {
    let missing = |(capability, needed_for): &(&str, &str)| Missing {
        capability: (*capability).to_owned(),
        needed_for: (*needed_for).to_owned(),
    };
    Preflight {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: capabilities.kernel.clone(),
        architecture: capabilities.architecture.clone(),
        btf: capabilities.btf,
        attach: capabilities.best_rung().map(|rung| rung.name().to_owned()),
        missing: capabilities.missing.iter().map(missing).collect(),
        modes: MODES.map(|mode| ModeSupport { mode, obstacle: obstacle(capabilities, mode) }).into(),
    }
}

/// What keeps a mode from working on this node, and what an administrator can do about it.
pub(crate) fn obstacle(capabilities: &Capabilities, mode: Mode) -> Option<String> {
    let obstacle = capabilities.obstacle_to(of_tracer(mode))?;
    if capabilities.missing.is_empty() {
        return Some(obstacle);
    }
    let names: Vec<&str> = capabilities.missing.iter().map(|(name, _)| *name).collect();
    Some(format!(
        "the agent lacks {}: install the chart with agent.capabilities.preset=minimal, or compat on kernels before 6.6",
        names.join(", ")
    ))
}

/// The same mode in the tracer's terms.
pub(crate) fn of_tracer(mode: Mode) -> recording::Mode {
    match mode {
        Mode::Heap => recording::Mode::Heap,
        Mode::Growth => recording::Mode::Growth,
        Mode::Kernel => recording::Mode::Kernel,
    }
}

#[cfg(test)]
mod tests {
    use leakhound_tracer::rung::Rung;

    use super::*;

    fn node() -> Capabilities {
        Capabilities {
            kernel: "6.1.150".into(),
            architecture: "x86_64".into(),
            btf: true,
            missing: vec![],
            rungs: vec![(Rung::Session, Err("no kfunc".into())), (Rung::PerfEvent, Ok(()))],
            modes: vec![
                (recording::Mode::Growth, Ok(())),
                (recording::Mode::Kernel, Err("no tracepoint kmalloc".into())),
            ],
        }
    }

    #[test]
    fn a_node_tells_how_it_attaches_and_what_it_cannot_do() {
        let said = preflight(&node());
        assert_eq!(said.kernel, "6.1.150");
        assert_eq!(said.attach.as_deref(), Some(Rung::PerfEvent.name()));
        assert_eq!((said.obstacle_to(Mode::Heap), said.obstacle_to(Mode::Growth)), (None, None));
        let obstacle = said.obstacle_to(Mode::Kernel).unwrap();
        assert_eq!(obstacle, "kernel mode does not work on kernel 6.1.150: no tracepoint kmalloc");
    }

    #[test]
    fn a_node_that_cannot_tells_what_to_do() {
        let mut lacking = node();
        lacking.rungs = vec![(Rung::Session, Err("EPERM".into()))];
        lacking.missing = vec![("CAP_BPF", "to create maps and load programs")];
        let said = preflight(&lacking);
        assert_eq!(said.attach, None);
        assert!(
            said.obstacle_to(Mode::Heap).unwrap().contains("CAP_BPF: install the chart with"),
            "{said:?}"
        );
        assert_eq!(said.missing[0].capability, "CAP_BPF");
    }
}
