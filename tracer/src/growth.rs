//! Growth mode's side of the kernel: programs that see pages given to processes and taken back.

use std::ptr;

use leakhound_ebpf::{GROWTH, abi::ProcessNumber};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::{
    bpf::{OnTracepoint, Tracepoints},
    kernel_side::{Constants, KernelSide, KernelSideError, pid_namespace},
    settings::Capacity,
    unwind_maps::UnwindMaps,
};

/// Frees first: a page whose return nobody sees would stay live for ever.
const PROGRAMS: [OnTracepoint; 2] = [("growth_freed", "mm_page_free"), ("growth_allocated", "mm_page_alloc")];

/// Growth mode in the kernel, attached. It follows nobody until [`KernelSide::set_target`].
pub struct Growth {
    /// Its maps.
    pub side: KernelSide,
    /// Unwind tables of all followed processes.
    pub unwind: UnwindMaps,
    /// Its programs.
    pub tracepoints: Tracepoints,
}

impl Growth {
    /// Creates the maps and attaches the programs.
    pub fn load(constants: Constants, capacity: Capacity) -> Result<Self, KernelSideError> {
        let namespace = pid_namespace().to_ne_bytes();
        let (mut side, capacity) =
            KernelSide::load(GROWTH, constants, &[("pid_namespace", &namespace)], capacity)?;
        let unwind = UnwindMaps::new(&side.object, capacity.rows, capacity.pages)?;
        let tracepoints = Tracepoints::attach(&mut side.object, &PROGRAMS)?;
        Ok(Self { side, unwind, tracepoints })
    }
}

/// Proves on ourselves that fresh pages are seen coming and going.
pub fn prove() -> Result<(), KernelSideError> {
    const PAGES: u64 = 256;
    let mut growth = Growth::load(Constants::SELF_TEST, Capacity::SELF_TEST)?;
    growth.side.set_target(std::process::id(), Some(ProcessNumber::default()))?;
    touch_and_return(PAGES).map_err(|error| KernelSideError::SelfTest(error.into()))?;
    growth.side.set_target(std::process::id(), None)?;
    growth.side.expect("fresh pages", PAGES)
}

#[allow(unsafe_code, reason = "only a mapping of our own has pages that are certainly fresh")]
fn touch_and_return(pages: u64) -> rustix::io::Result<()> {
    const PAGE: usize = 4096;
    let length = usize::try_from(pages).unwrap_or(0) * PAGE;
    // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
    let start = unsafe {
        mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    }?;
    for offset in (0..length).step_by(PAGE) {
        // SAFETY: within the mapping just made.
        unsafe { start.cast::<u8>().add(offset).write_volatile(1) };
    }
    // SAFETY: exactly the mapping just made, used by nobody after this.
    unsafe { munmap(start, length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::specimen::is_root;

    #[test]
    fn a_tracepoint_that_is_not_there_is_named() {
        if !is_root() {
            return;
        }
        let (mut side, _) = KernelSide::load(GROWTH, Constants::SELF_TEST, &[], Capacity::SELF_TEST).unwrap();
        let error = Tracepoints::attach(&mut side.object, &[("growth_freed", "no_such_point")]).unwrap_err();
        let text = crate::causes::with_causes(&error);
        assert!(text.contains("no_such_point") && text.contains("No such file"), "{text}");
    }

    #[test]
    fn fresh_pages_of_our_own_are_seen() {
        if !is_root() {
            return;
        }
        prove().unwrap();
    }
}
