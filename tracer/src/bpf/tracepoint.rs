//! Programs on raw tracepoints: they see the whole machine, and come off when dropped.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::programs::{ProgramError, RawTracePoint, raw_trace_point::RawTracePointLink};
use aya_obj::generated::bpf_prog_info;
use thiserror::Error;

use super::{
    Object, ObjectError,
    syscall::{measure_run_time, program_info, verifier_tail},
};

/// A program and the tracepoint that it belongs to.
pub type OnTracepoint = (&'static str, &'static str);

/// Attached programs; they come off on drop.
#[derive(Debug)]
pub struct Tracepoints {
    links: Vec<RawTracePointLink>,
    programs: Vec<OwnedFd>,
    cost: Cost,
}

/// What running the programs costs. Measuring it costs a little more, so it is not done for long.
#[derive(Debug)]
enum Cost {
    /// While this is open.
    Measuring(#[allow(dead_code, reason = "held for its drop")] OwnedFd),
    /// Mean nanoseconds an event; 0 when the kernel does not let us measure.
    Known(f64),
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
        let cost = measure_run_time().map_or(Cost::Known(0.0), Cost::Measuring);
        let mut attached = Self { links: Vec::new(), programs: Vec::new(), cost };
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
        self.infos().map(|info| info.recursion_misses).sum()
    }

    /// Ends measuring what events cost, once there have been enough for a mean.
    pub fn settle_cost(&mut self, events: u64) {
        const ENOUGH: u64 = 100;
        if matches!(self.cost, Cost::Measuring(_)) && events >= ENOUGH {
            let run_time: u64 = self.infos().map(|info| info.run_time_ns).sum();
            self.cost = Cost::Known(run_time as f64 / events as f64);
        }
    }

    /// Mean nanoseconds that an event costs, those left out included; 0 when it is not known.
    pub fn event_ns(&self) -> f64 {
        if let Cost::Known(nanoseconds) = self.cost { nanoseconds } else { 0.0 }
    }

    fn infos(&self) -> impl Iterator<Item = bpf_prog_info> {
        self.programs.iter().filter_map(|program| program_info(program.as_raw_fd()).ok())
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
