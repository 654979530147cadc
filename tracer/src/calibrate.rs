//! What one event costs the target, measured on ourselves.

use std::{hint::black_box, path::Path, time::Instant};

use leakhound_ebpf::PROBE;

use crate::{
    bpf::Object,
    rung::{EMPTY, Probes, Rung, RungError, own_offset},
};

/// Begins with an instruction that the kernel emulates, as the places do that we choose in allocators.
#[allow(unsafe_code, reason = "only assembly can say which instruction comes first")]
#[unsafe(naked)]
extern "C" fn calibration_target(value: u64) -> u64 {
    core::arch::naked_asm!("nop", "lea rax, [rdi + 2]", "ret")
}

/// Mean nanoseconds that a probed call takes longer than one that is not: the traps alone.
pub fn calibrate(rung: Rung) -> Result<f64, RungError> {
    const CALLS: u32 = 2000;
    let mut object = Object::load(PROBE, &[], &[])?;
    let probes = Probes::load(&mut object, EMPTY, rung)?;
    let sites = [(own_offset(calibration_target as *const () as u64)?, 0)];
    let unprobed = time_calls(CALLS);
    let attached =
        probes.attach_calls(&mut object, Path::new("/proc/self/exe"), &sites, std::process::id())?;
    time_calls(CALLS / 10);
    let probed = time_calls(CALLS);
    drop(attached);
    Ok((probed - unprobed).max(0.0))
}

fn time_calls(count: u32) -> f64 {
    let began = Instant::now();
    for value in 0..count {
        black_box(calibration_target(value.into()));
    }
    began.elapsed().as_nanos() as f64 / f64::from(count)
}
