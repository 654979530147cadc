//! What this kernel and these privileges allow: the only place that asks.

use std::{env, path::Path};

use rustix::thread::{CapabilitySet, capabilities};

use leakhound_report::recording::Mode;

use crate::{
    causes::with_causes,
    growth, heap, kernel_memory,
    kernel_symbols::KernelSymbols,
    rung::{Rung, prove},
};

/// What this kernel and these privileges allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Release, as in `uname -r`.
    pub kernel: String,
    /// Machine, as in `uname -m`.
    pub architecture: String,
    /// The kernel describes its own types (`/sys/kernel/btf/vmlinux`).
    pub btf: bool,
    /// Capabilities we lack, and what each is for.
    pub missing: Vec<(&'static str, &'static str)>,
    /// Every way of attaching, and why it does not work, when it does not.
    pub rungs: Vec<(Rung, Result<(), String>)>,
    /// Modes, as far as they were tried out, and why one does not work.
    pub modes: Vec<(Mode, Result<(), String>)>,
}

/// Needed for any investigation; CAP_SYS_ADMIN stands for the first two, as it did before kernel 5.8.
const NEEDED: [(CapabilitySet, &str, &str); 4] = [
    (CapabilitySet::BPF, "CAP_BPF", "to create maps and load programs"),
    (CapabilitySet::PERFMON, "CAP_PERFMON", "to read another program's memory from a probe"),
    (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE", "to open the files of other users' processes"),
    (CapabilitySet::DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "to read what only their owners may read"),
];

impl Capabilities {
    /// Asks the kernel. With `every_rung` each way of attaching is tried, else the ladder is climbed down to the first
    /// that works.
    pub fn probe(every_rung: bool) -> Self {
        let uname = rustix::system::uname();
        let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
        let missing = missing();
        let mut rungs = Vec::new();
        for rung in Rung::LADDER {
            let result = prove(rung).map_err(|error| with_causes(&error));
            let works = result.is_ok();
            rungs.push((rung, result));
            if works && !every_rung {
                break;
            }
        }
        Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            architecture: uname.machine().to_string_lossy().into_owned(),
            btf,
            missing,
            rungs,
            modes: Vec::new(),
        }
    }

    /// Tries modes out: that a way of attaching works does not mean that this kernel's verifier takes heap mode's programs.
    #[must_use]
    pub fn with_modes(mut self, modes: &[Mode]) -> Self {
        for mode in modes {
            let result = match mode {
                Mode::Heap => match self.best_rung() {
                    Some(rung) => heap::prove(rung).map_err(|error| with_causes(&error)),
                    None => continue,
                },
                Mode::Growth => growth::prove().map_err(|error| with_causes(&error)),
                Mode::Kernel => prove_kernel_mode(),
            };
            self.modes.push((*mode, result));
        }
        self
    }

    /// The best way of attaching that works.
    pub fn best_rung(&self) -> Option<Rung> {
        self.rungs.iter().find(|(_, result)| result.is_ok()).map(|(rung, _)| *rung)
    }

    /// What keeps an investigation from running here, in one sentence that says what to do; `None` when nothing does.
    pub fn obstacle(&self) -> Option<String> {
        if self.best_rung().is_some() {
            return None;
        }
        let why = self.rungs.iter().find_map(|(_, result)| result.as_ref().err());
        self.lack().or_else(|| {
            Some(format!(
                "no way of attaching probes works on kernel {}: {}: run `leakhound doctor` for the whole list",
                self.kernel,
                why.map_or("", |why| why.lines().next().unwrap_or_default())
            ))
        })
    }

    /// What keeps a mode from working here, in one sentence that says what to do; `None` when nothing does, or it was not
    /// tried.
    pub fn obstacle_to(&self, mode: Mode) -> Option<String> {
        if let (Mode::Heap, Some(obstacle)) = (mode, self.obstacle()) {
            return Some(obstacle);
        }
        let (_, result) = self.modes.iter().find(|(tried, _)| *tried == mode)?;
        let why = result.as_ref().err()?.lines().next().unwrap_or_default();
        let name = match mode {
            Mode::Heap => "heap",
            Mode::Growth => "growth",
            Mode::Kernel => "kernel",
        };
        let what = || format!("{name} mode does not work on kernel {}: {why}", self.kernel);
        Some(self.lack().unwrap_or_else(what))
    }

    /// What nothing works without.
    fn lack(&self) -> Option<String> {
        if !self.missing.is_empty() {
            let names: Vec<&str> = self.missing.iter().map(|(name, _)| *name).collect();
            return Some(format!(
                "privileges are missing: {}: run sudo leakhound ..., or once {}",
                names.join(", "),
                setcap()
            ));
        }
        if !self.btf {
            return Some(format!(
                "kernel {} does not describe its types (no /sys/kernel/btf/vmlinux): use one built with CONFIG_DEBUG_INFO_BTF=y, as distributions' kernels are",
                self.kernel
            ));
        }
        None
    }
}

/// The command that gives the program what it needs for good.
fn setcap() -> String {
    let names = NEEDED.map(|(_, name, _)| name.to_lowercase()).join(",");
    let program = env::current_exe()
        .map_or_else(|_unknown| "PROGRAM".into(), |path| path.to_string_lossy().into_owned());
    format!("sudo setcap {names}+ep {program}")
}

fn missing() -> Vec<(&'static str, &'static str)> {
    let Ok(sets) = capabilities(None) else { return Vec::new() };
    let has = |wanted| sets.effective.contains(wanted);
    let covered = |wanted| {
        matches!(wanted, CapabilitySet::BPF | CapabilitySet::PERFMON) && has(CapabilitySet::SYS_ADMIN)
    };
    NEEDED
        .into_iter()
        .filter(|(wanted, _, _)| !has(*wanted) && !covered(*wanted))
        .map(|(_, name, purpose)| (name, purpose))
        .collect()
}

/// Names first: without them the rest is of no use.
fn prove_kernel_mode() -> Result<(), String> {
    KernelSymbols::read().map_err(|error| with_causes(&error))?;
    kernel_memory::prove().map_err(|error| with_causes(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(kernel: &str) -> Capabilities {
        Capabilities {
            kernel: kernel.into(),
            architecture: "x86_64".into(),
            btf: true,
            missing: vec![],
            rungs: vec![],
            modes: vec![],
        }
    }

    #[test]
    fn an_obstacle_says_what_to_do() {
        let mut here = on("6.1.0");
        here.rungs = vec![(Rung::Session, Err("no kfunc\nmore".into()))];
        assert!(here.obstacle().unwrap().contains("leakhound doctor"));
        here.btf = false;
        assert!(here.obstacle().unwrap().contains("CONFIG_DEBUG_INFO_BTF"));
        here.missing = vec![("CAP_BPF", "")];
        let said = here.obstacle().unwrap();
        let setcap = "sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep /";
        assert!(said.contains("missing: CAP_BPF: run sudo leakhound ..., or once "), "{said}");
        assert!(said.contains(setcap), "{said}");
        here.rungs.push((Rung::PerfEvent, Ok(())));
        assert_eq!(here.obstacle(), None);
    }

    #[test]
    fn a_mode_is_not_kept_by_what_only_another_needs() {
        let mut here = on("6.1.0");
        here.rungs = vec![(Rung::PerfEvent, Ok(()))];
        here.modes = vec![(Mode::Heap, Err("the verifier forgot a limit".into()))];
        assert!(here.obstacle_to(Mode::Heap).unwrap().ends_with("the verifier forgot a limit"));
        here.rungs = vec![(Rung::PerfEvent, Err("no uprobes".into()))];
        here.modes = vec![(Mode::Growth, Ok(())), (Mode::Kernel, Err("no tracepoint kmalloc\nmore".into()))];
        assert!(here.obstacle_to(Mode::Heap).is_some());
        assert_eq!(here.obstacle_to(Mode::Growth), None);
        let obstacle = here.obstacle_to(Mode::Kernel).unwrap();
        assert_eq!(obstacle, "kernel mode does not work on kernel 6.1.0: no tracepoint kmalloc");
        here.missing = vec![("CAP_BPF", "")];
        assert!(here.obstacle_to(Mode::Kernel).unwrap().contains("CAP_BPF"));
    }
}
