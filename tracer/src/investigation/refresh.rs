//! What changed in the target since the last look: libraries loaded, programs replaced, processes come and gone.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use leakhound_ebpf::abi::News;
use leakhound_report::{
    amount::counted,
    recording::{Event, EventKind, Record},
};

use super::{InvestigationError, flow::Run};
use crate::{forks::Forks, locate::Target, process::ProcessId};

/// How long a container may be without a process: runtimes restart one within seconds, unless it keeps failing.
const RESTART: Duration = Duration::from_secs(10);

impl Run<'_> {
    /// Looks at every process again and follows what changed. A process that ends meanwhile is no error.
    pub(super) fn refresh(&mut self) -> Result<(), InvestigationError> {
        self.drop_ended()?;
        for index in 0..self.processes.len() {
            self.refresh_process(index)?;
            self.look()?;
        }
        self.follow_new()
    }

    fn refresh_process(&mut self, index: usize) -> Result<(), InvestigationError> {
        let Some((process, _)) = self.processes.get_mut(index) else { return Ok(()) };
        let id = process.id;
        let program = id.program();
        if program.is_some() && program != process.program {
            return self.follow_exec(index);
        }
        if !self.watch.walks_programs() {
            return Ok(());
        }
        let Ok(Some(new)) = process.remap(&mut self.modules) else { return Ok(()) };
        match self.attach(index, &new) {
            Ok(0) => Ok(()),
            Ok(functions) => {
                let detail =
                    counted(functions, "function of a library", "functions of libraries") + " loaded since";
                self.event(EventKind::AllocatorFound, Some(id.pid), detail)
            }
            Err(InvestigationError::Attach { .. }) if !id.is_alive() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A new program in an old process: all its blocks are gone, and its addresses mean something else.
    fn follow_exec(&mut self, index: usize) -> Result<(), InvestigationError> {
        let (old, _) = self.processes.remove(index);
        let id = old.id;
        self.leave(old);
        self.event(EventKind::Executed, Some(id.pid), format!("now runs {}", id.command()))?;
        self.follow(id).map(drop)
    }

    /// After all processes that were watched have ended: whether the target has others, which are watched then. A server may
    /// end a worker while it starts the next; a container that restarts is empty for a moment, which may last until `end`.
    pub(super) fn goes_on_without_them(&mut self, end: Instant) -> Result<bool, InvestigationError> {
        let patience = match self.target {
            Target::Container(_) => RESTART,
            _ => Duration::ZERO,
        };
        let deadline = end.min(Instant::now() + patience);
        loop {
            self.follow_new()?;
            self.drop_ended()?;
            if self.processes.iter().any(|(_, watch)| !watch.has_ended()) {
                return Ok(true);
            }
            if Instant::now() >= deadline || self.observer.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    pub(super) fn drop_ended(&mut self) -> Result<(), InvestigationError> {
        let ended: Vec<usize> =
            (0..self.processes.len()).filter(|index| self.processes[*index].1.has_ended()).collect();
        // The last ones stay: their numbers are the result.
        if ended.len() == self.processes.len() {
            return Ok(());
        }
        for index in ended.into_iter().rev() {
            let (process, _) = self.processes.remove(index);
            let pid = process.id.pid;
            self.leave(process);
            self.event(EventKind::Exited, Some(pid), "its memory is gone with it".into())?;
        }
        Ok(())
    }

    /// Takes in what the kernel told of the processes that are followed.
    pub(super) fn hear_news(&mut self) -> Result<(), InvestigationError> {
        let news = self.forks.as_mut().map(Forks::news).unwrap_or_default();
        let mut forked = false;
        for (what, pid) in news {
            match what {
                News::Executed => {
                    let index = self.processes.iter().position(|(process, _)| process.id.pid == pid);
                    if let Some(index) = index {
                        self.refresh_process(index)?;
                    }
                }
                News::Forked if !self.pace.admits(Instant::now()) => {}
                News::Forked => match (&self.target, ProcessId::find(pid)) {
                    (Target::Tree(_), Ok(id)) => self.follow_if_new(id)?,
                    (Target::Tree(_), Err(_)) => {} // ended already, or none that can be followed
                    _ => forked = true,
                },
            }
        }
        // whether a child belongs to a container or a group only its runtime knows
        if forked { self.follow_new() } else { Ok(()) }
    }

    fn follow_if_new(&mut self, id: ProcessId) -> Result<(), InvestigationError> {
        if self.met.contains(&id) {
            return Ok(());
        }
        match self.follow(id) {
            Ok(Some(_)) => {
                self.look()?;
                self.own.found_later += 1;
                self.event(EventKind::ProcessFound, Some(id.pid), id.command())
            }
            Ok(None) => Ok(()),
            Err(InvestigationError::Attach { .. }) if !id.is_alive() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn follow_new(&mut self) -> Result<(), InvestigationError> {
        let Ok((now, more)) = self.target.processes() else { return Ok(()) };
        self.own.processes_left_out = self.own.processes_left_out.max(more as u64);
        let alive = self.processes.iter().filter(|(_, watch)| !watch.has_ended()).count();
        let room = self.target.most().saturating_sub(alive);
        let new: Vec<ProcessId> = now.into_iter().filter(|id| !self.met.contains(id)).take(room).collect();
        new.into_iter().try_for_each(|id| self.follow_if_new(id))
    }

    /// Records an event.
    pub(super) fn event(
        &mut self,
        what: EventKind,
        pid: Option<u32>,
        detail: String,
    ) -> Result<(), InvestigationError> {
        let time_ns = self.time_ns();
        self.record(&Record::Event(Event { time_ns, pid, what, detail }))
    }
}
