//! Programs on raw tracepoints: they see the whole machine, and come off when dropped.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::programs::{ProgramError, RawTracePoint, raw_trace_point::RawTracePointLink};
use thiserror::Error;

use super::{
    Object, ObjectError,
    syscall::{program_info, verifier_tail},
};

/// A program and the tracepoint that it belongs to.
pub type OnTracepoint = (&'static str, &'static str);

/// Attached programs; they come off on drop.
#[derive(Debug)]
pub struct Tracepoints {
    links: Vec<RawTracePointLink>,
    programs: Vec<OwnedFd>,
}

/// A program could not be put on a tracepoint.
#[derive(Debug, Error)]
pub enum TracepointError {
    /// It is not in the object file: a build error.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The kernel refused the program.
    #[error("the kernel refused program {program}{}", verifier_tail(log))]
    Load {
        /// Its name.
        program: &'static str,
        /// What the verifier said.
        log: String,
        /// The system call's error.
        source: Box<ProgramError>,
    },
    /// The kernel has no such tracepoint or function, or does not let us use it.
    #[error("cannot attach to {point} of the kernel")]
    Attach {
        /// Its name.
        point: &'static str,
        /// The system call's error.
        source: Box<ProgramError>,
    },
}

impl Tracepoints {
    /// Loads all programs, then puts them on in the order given.
    pub fn attach(object: &mut Object, programs: &[OnTracepoint]) -> Result<Self, TracepointError> {
        let mut attached = Self { links: Vec::new(), programs: Vec::new() };
        for (name, _) in programs {
            raw_tracepoint(object, name)?.load().map_err(|source| refused(name, source))?;
        }
        for (name, tracepoint) in programs {
            let program = raw_tracepoint(object, name)?;
            let error = |source| TracepointError::Attach { point: tracepoint, source: Box::new(source) };
            let id = program.attach(tracepoint).map_err(error)?;
            attached.links.push(program.take_link(id).map_err(error)?);
            let fd = program.fd().map_err(error)?.as_fd().try_clone_to_owned();
            attached.programs.push(fd.map_err(|cause| error(ProgramError::IOError(cause)))?);
        }
        Ok(attached)
    }

    /// How often a program could not run because an interrupt came while it was running already, on the same CPU.
    pub fn nested_misses(&self) -> u64 {
        let infos = self.programs.iter().filter_map(|program| program_info(program.as_raw_fd()).ok());
        infos.map(|info| info.recursion_misses).sum()
    }

    /// Takes the programs off, in the opposite order. Their misses can still be asked for.
    pub fn detach(&mut self) {
        while let Some(link) = self.links.pop() {
            drop(link);
        }
    }
}

impl Drop for Tracepoints {
    fn drop(&mut self) {
        self.detach();
    }
}

fn raw_tracepoint<'a>(object: &'a mut Object, name: &str) -> Result<&'a mut RawTracePoint, TracepointError> {
    let missing = || ObjectError::Missing(name.to_owned());
    let program = object.aya.program_mut(name).ok_or_else(missing)?;
    Ok(program.try_into().map_err(|_another_kind: ProgramError| missing())?)
}

fn refused(program: &'static str, source: ProgramError) -> TracepointError {
    let log = match &source {
        ProgramError::LoadError { verifier_log, .. } => verifier_log.to_string(),
        _ => String::new(),
    };
    TracepointError::Load { program, log, source: Box::new(source) }
}
