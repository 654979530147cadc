//! Programs at functions of the kernel, where it has kprobes.

use aya::programs::{KProbe, ProgramError, kprobe::KProbeLink};

use super::{Object, ObjectError, TracepointError};

/// An attached program; it comes off on drop.
#[derive(Debug)]
pub struct Kprobe(#[allow(dead_code, reason = "held for its drop")] KProbeLink);

impl Kprobe {
    /// Puts a program at the beginning of a kernel function. Many kernels have no kprobes, or not this function.
    pub fn attach(
        object: &mut Object,
        program: &'static str,
        function: &'static str,
    ) -> Result<Self, TracepointError> {
        let missing = || ObjectError::Missing(program.to_owned());
        let error = |source| TracepointError::Attach { point: function, source: Box::new(source) };
        let probe = object.aya.program_mut(program).ok_or_else(missing)?;
        let probe: &mut KProbe = probe.try_into().map_err(|_another_kind: ProgramError| missing())?;
        probe.load().map_err(error)?;
        let id = probe.attach(function, 0).map_err(error)?;
        Ok(Self(probe.take_link(id).map_err(error)?))
    }
}
