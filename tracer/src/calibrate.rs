//! What the traps around a probe cost the target, measured on ourselves.

use std::{hint::black_box, path::Path, time::Instant};

use leakhound_ebpf::PROBE;

use crate::{
    bpf::Object,
    budget::Traps,
    rung::{EMPTY, Probes, Rung, RungError, hold_own_functions, own_offset},
};

type Target = extern "C" fn(u64) -> u64;

/// Begins with an instruction that the kernel emulates, as nearly all places do that we choose in allocators.
#[allow(unsafe_code, reason = "only assembly can say which instruction comes first")]
#[unsafe(naked)]
extern "C" fn emulated(value: u64) -> u64 {
    core::arch::naked_asm!("nop", "lea rax, [rdi + 2]", "ret")
}

/// Begins with one that it single-steps.
#[allow(unsafe_code, reason = "only assembly can say which instruction comes first")]
#[unsafe(naked)]
extern "C" fn stepped(value: u64) -> u64 {
    core::arch::naked_asm!("lea rax, [rdi + 2]", "nop", "ret")
}

/// Calls timed at once, a fraction of a millisecond, and how often: the median does not see the times when somebody else had
/// the processor.
const CALLS: u32 = 50;
const TIMES: usize = 41;

/// Mean nanoseconds that probed calls take longer than those that are not, with programs that do nothing.
pub fn calibrate(rung: Rung) -> Result<Traps, RungError> {
    let mut object = Object::load(PROBE, &[], &[])?;
    let probes = Probes::load(&mut object, EMPTY, rung)?;
    let path = Path::new("/proc/self/exe");
    let own = std::process::id();
    let _alone = hold_own_functions();
    let unprobed = time_calls(emulated);
    let more = |target| (time_calls(target) - unprobed).max(0.0);

    let sites = [(own_offset(emulated as *const () as u64)?, 0)];
    let entries = probes.attach_free(&mut object, path, &sites, own)?;
    let entry = more(emulated);
    drop(entries);
    let both_ends = probes.attach_calls(&mut object, path, &sites, own)?;
    let returns = (more(emulated) - entry).max(0.0);
    drop(both_ends);
    let sites = [(own_offset(stepped as *const () as u64)?, 0)];
    let entries = probes.attach_free(&mut object, path, &sites, own)?;
    let single_stepped = more(stepped);
    drop(entries);
    Ok(Traps { emulated: entry, stepped: single_stepped, returns })
}

/// Nanoseconds of one call.
fn time_calls(target: Target) -> f64 {
    let call = |count| {
        for value in 0..count {
            black_box(target(black_box(value).into()));
        }
    };
    call(CALLS);
    let mut times: Vec<f64> = (0..TIMES)
        .map(|_| {
            let began = Instant::now();
            call(CALLS);
            began.elapsed().as_nanos() as f64 / f64::from(CALLS)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[TIMES / 2]
}
