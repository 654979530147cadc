//! The flow of an investigation.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use leakhound_ebpf::abi::MAX_PROCESSES;
use leakhound_report::recording::{End, EventKind, Overhead, Record};

use super::{
    InvestigationError, Observer, Plan, Progress, Subject,
    header::{header, nanoseconds},
    ledger::Own,
    wait::{EndWatch, Woken, wait_until},
    watch::{self, Watch},
};
use crate::{
    blocks, followed::Followed, kernel_side::monotonic_ns, launch::Launched, locate::Target,
    modules::Modules, process::ProcessId, settings::Settings, stacks::Stacks, symbolize::Symbolizer,
    tally::Tally,
};

/// Everything that lives as long as the probes.
pub(super) struct Run<'a> {
    pub(super) settings: &'a Settings,
    pub(super) observer: Observer<'a>,
    pub(super) target: Target,
    pub(super) watch: Box<dyn Watch>,
    pub(super) modules: Modules,
    pub(super) processes: Vec<(Followed, EndWatch)>,
    /// Every process ever met, so that none is tried twice.
    pub(super) met: HashSet<ProcessId>,
    next_slot: u16,
    pub(super) symbolizer: Symbolizer,
    pub(super) stacks: Stacks,
    pub(super) tally: Tally,
    pub(super) own: Own,
    pub(super) modules_recorded: usize,
    pub(super) progress: Progress,
    pub(super) events: u64,
    attach_took: Duration,
}

/// Runs an investigation to its end.
pub fn investigate<'a>(
    subject: Subject,
    plan: &'a Plan<'a>,
    observer: Observer<'a>,
) -> Result<(), InvestigationError> {
    if let Some(obstacle) = plan.capabilities.obstacle() {
        return Err(InvestigationError::Obstacle(obstacle));
    }
    let (target, mut launched) = match subject {
        Subject::Running(target) => (target, None),
        Subject::Launched(launched) => (Target::Tree(launched.id()), Some(launched)),
    };
    let result = Run::start(target, plan, observer).and_then(|run| run.watch(launched.as_mut()));
    if let Some(mut launched) = launched {
        launched.stop().map_err(InvestigationError::Stop)?;
    }
    result
}

impl<'a> Run<'a> {
    /// Everything up to the moment when all probes are on.
    fn start(target: Target, plan: &'a Plan<'a>, observer: Observer<'a>) -> Result<Self, InvestigationError> {
        let settings = plan.settings;
        let (ids, more) = target.processes()?;
        let mut modules = Modules::new(settings.debug_dirs.clone());
        let looked_at = ids.iter().filter(|id| Followed::new(**id, 0).remap(&mut modules).is_ok()).count();
        if looked_at == 0 {
            return Err(InvestigationError::Gone);
        }
        let watch = watch::open(plan, &ids, &modules)?;
        let mut run = Run {
            settings,
            observer,
            target,
            watch,
            modules,
            processes: Vec::new(),
            met: HashSet::new(),
            next_slot: 0,
            symbolizer: Symbolizer::default(),
            stacks: Stacks::default(),
            tally: Tally::default(),
            own: Own { processes_left_out: more as u64, ..Own::default() },
            modules_recorded: 0,
            progress: Progress::default(),
            events: 0,
            attach_took: Duration::ZERO,
        };
        run.record(&Record::Header(header(plan, &run.target, &ids, &*run.watch, &run.modules)))?;
        let began = Instant::now();
        let mut functions = 0;
        for id in ids {
            functions += run.follow(id)?.unwrap_or(0);
        }
        run.attach_took = began.elapsed();
        if run.processes.is_empty() {
            return Err(InvestigationError::Gone);
        }
        let (processes, how) = (run.processes.len(), run.watch.attached_by());
        run.event(
            EventKind::Attached,
            None,
            format!("{functions} functions in {processes} processes by {how}"),
        )?;
        Ok(run)
    }

    /// From the first snapshot to the end record.
    fn watch(mut self, mut launched: Option<&mut Launched>) -> Result<(), InvestigationError> {
        let began = Instant::now();
        if let Some(launched) = launched.as_mut() {
            launched.go()?;
        }
        let end = began + self.settings.duration;
        let mut due = began;
        let reason = loop {
            due = (due + self.settings.interval).min(end);
            let woken = loop {
                match self.wait(due, began) {
                    Woken::AllEnded if self.goes_on_without_them()? => {}
                    woken => break woken,
                }
            };
            self.progress.elapsed = began.elapsed();
            if due.elapsed() > self.settings.interval / 10 && woken == Woken::Due {
                self.own.late_snapshots += 1;
            }
            if woken == Woken::Due && due < end {
                self.refresh()?;
            }
            self.snapshot()?;
            match woken {
                Woken::AllEnded => break "targetExited",
                Woken::Stopped => break "stopped",
                Woken::Due if due >= end => break "duration",
                Woken::Due => {}
            }
        };
        self.finish(reason)
    }

    fn wait(&mut self, due: Instant, began: Instant) -> Woken {
        let processes = &self.processes;
        let watches = || processes.iter().map(|(_, watch)| watch).collect();
        let mut progress = self.progress;
        wait_until(due, watches, self.observer.stop, || {
            progress.elapsed = began.elapsed();
            (self.observer.progress)(&progress);
        })
    }

    /// Follows one process, and says on how many functions probes went; `None` when it ended meanwhile, there is no slot
    /// left, or probes could get it killed.
    pub(super) fn follow(&mut self, id: ProcessId) -> Result<Option<usize>, InvestigationError> {
        self.met.insert(id);
        if usize::from(self.next_slot) >= MAX_PROCESSES {
            self.own.processes_left_out += 1;
            return Ok(None);
        }
        let mut process = Followed::new(id, self.next_slot);
        let new = match process.remap(&mut self.modules) {
            Ok(Some(new)) if id.is_alive() => new,
            _ => return Ok(None),
        };
        self.next_slot += 1;
        self.processes.push((process, EndWatch::new(id)));
        let index = self.processes.len() - 1;
        match self.attach(index, &new) {
            Ok(functions) => Ok(Some(functions)),
            Err(_) if !id.is_alive() => {
                self.processes.truncate(index);
                Ok(None)
            }
            // whoever was there at the start was asked before
            Err(InvestigationError::Seccomp { .. }) => {
                self.processes.truncate(index);
                self.own.processes_left_out += 1;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Lets the mode take in what a process has mapped, and says on how many functions probes went.
    pub(super) fn attach(&mut self, index: usize, new: &[u32]) -> Result<usize, InvestigationError> {
        let Some((process, _)) = self.processes.get_mut(index) else { return Ok(0) };
        let following = self.watch.follow(process, &mut self.modules, new)?;
        self.own.mappings_left_out = self.own.mappings_left_out.max(following.mappings_left_out as u64);
        Ok(following.functions)
    }

    /// Takes the probes off and records the end. The last snapshot was before: between the first probe coming off and the
    /// last, frees are seen whose allocations are not.
    fn finish(mut self, reason: &str) -> Result<(), InvestigationError> {
        let began = Instant::now();
        self.watch.detach(&mut self.processes.iter_mut().map(|(process, _)| process));
        let detach = began.elapsed();
        self.event(EventKind::Detached, None, String::new())?;
        let largest = self.tally.largest(blocks::STACKS);
        let pids = self.processes.iter().map(|(process, _)| (process.slot, process.id.pid)).collect();
        let (side, wanted) = (self.watch.side(), self.settings.blocks_per_stack);
        let blocks = blocks::oldest(side, &self.stacks, &largest, &pids, wanted)?;
        let end = End {
            time_ns: self.time_ns(),
            reason: reason.to_owned(),
            overhead: Overhead {
                attach_ns: nanoseconds(self.attach_took),
                detach_ns: nanoseconds(detach),
                events: self.events,
                probe_ns: self.watch.probe_ns(),
            },
            blocks,
        };
        self.record(&Record::End(end))
    }

    /// Nanoseconds since the start.
    pub(super) fn time_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.watch.side().start_ns)
    }

    pub(super) fn record(&mut self, record: &Record) -> Result<(), InvestigationError> {
        (self.observer.record)(record).map_err(InvestigationError::Sink)
    }
}
