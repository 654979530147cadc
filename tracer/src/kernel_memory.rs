//! Kernel mode's side of the kernel: programs that see the kernel's own allocators at work.

use std::io;

use leakhound_ebpf::{KERNEL, abi::ProcessNumber};
use tracing::debug;

use crate::{
    bpf::{Kprobe, OnTracepoint, Tracepoints},
    kernel_side::{Constants, KernelSide, KernelSideError, pid_namespace},
    settings::Capacity,
};

/// Frees first: a block whose free nobody sees would stay live for ever.
const PROGRAMS: [OnTracepoint; 6] = [
    ("kernel_page_free", "mm_page_free"),
    ("kernel_cache_free", "kmem_cache_free"),
    ("kernel_kfree", "kfree"),
    ("kernel_page_alloc", "mm_page_alloc"),
    ("kernel_cache_alloc", "kmem_cache_alloc"),
    ("kernel_kmalloc", "kmalloc"),
];

/// Whose allocations kernel mode follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's but our own.
    Machine,
    /// What the kernel allocates while it works for processes given to [`KernelSide::set_target`].
    Targets,
}

/// Kernel mode in the kernel, attached.
pub struct KernelMemory {
    /// Its maps.
    pub side: KernelSide,
    /// Its programs.
    pub tracepoints: Tracepoints,
    /// Sees frees in bulk, which have no tracepoint, where the kernel has kprobes.
    pub bulk_frees: Option<Kprobe>,
}

impl KernelMemory {
    /// Creates the maps and attaches the programs.
    pub fn load(scope: Scope, constants: Constants, capacity: Capacity) -> Result<Self, KernelSideError> {
        let namespace = pid_namespace().to_ne_bytes();
        let whole_machine = u32::from(scope == Scope::Machine).to_ne_bytes();
        let own_process = std::process::id().to_ne_bytes();
        let more: [(&str, &[u8]); 3] =
            [("pid_namespace", &namespace), ("whole_machine", &whole_machine), ("own_process", &own_process)];
        let (mut side, _) = KernelSide::load(KERNEL, constants, &more, capacity)?;
        // a free first here, too
        let bulk_frees = Kprobe::attach(&mut side.object, "kernel_free_bulk", "kmem_cache_free_bulk");
        let bulk_frees = bulk_frees.inspect_err(|error| debug!(%error, "frees in bulk go unseen")).ok();
        let tracepoints = Tracepoints::attach(&mut side.object, &PROGRAMS)?;
        Ok(Self { side, tracepoints, bulk_frees })
    }
}

/// Proves on ourselves that the kernel's allocations are seen coming and going: each pipe takes several.
pub fn prove() -> Result<(), KernelSideError> {
    const PIPES: u64 = 16;
    let mut memory = KernelMemory::load(Scope::Targets, Constants::SELF_TEST, Capacity::SELF_TEST)?;
    memory.side.set_target(std::process::id(), Some(ProcessNumber::default()))?;
    let pipes: io::Result<Vec<_>> = (0..PIPES).map(|_| io::pipe()).collect();
    let made = pipes.map(drop);
    memory.side.set_target(std::process::id(), None)?;
    made.map_err(KernelSideError::SelfTest)?;
    memory.side.expect("kernel allocations", PIPES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::is_root;

    #[test]
    fn what_our_pipes_take_is_seen() {
        if !is_root() {
            return;
        }
        prove().unwrap();
    }

    #[test]
    fn frees_in_bulk_are_seen_wherever_the_kernel_has_kprobes() {
        if !is_root() {
            return;
        }
        let memory = KernelMemory::load(Scope::Targets, Constants::SELF_TEST, Capacity::SELF_TEST).unwrap();
        let has_kprobes = std::path::Path::new("/sys/bus/event_source/devices/kprobe").exists();
        assert_eq!(memory.bulk_frees.is_some(), has_kprobes);
    }
}
