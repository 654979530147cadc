//! The flow of an investigation.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use leakhound_ebpf::abi::ProcessNumber;
use leakhound_report::{
    amount::counted,
    recording::{EventKind, Mode, Record},
};

use super::{
    InvestigationError, Observer, Plan, Progress, Subject,
    ending::Cores,
    header::header,
    leaving::{Leaving, Releaser},
    ledger::Own,
    pace::Pace,
    processor::Reading,
    spending::{Payer, Purse},
    wait::EndWatch,
    watch::{self, Watch},
};
use crate::{
    block_stream::BlockStream,
    descriptors,
    followed::Followed,
    forks::Forks,
    kernel_side::monotonic_ns,
    locate::Target,
    modules::Modules,
    process::{ProcessError, ProcessId},
    settings::Settings,
    slots::Slots,
    stacks::Stacks,
    symbolize::Symbolizer,
    tally::Tally,
};

/// Everything that lives as long as the probes.
pub(super) struct Run<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) settings: &'a Settings,
    /// Records that nobody has seen yet: see [`super::retreat`].
    pub(super) held_back: Option<Vec<Record>>,
    pub(super) observer: Observer<'a>,
    pub(super) target: Target,
    pub(super) watch: Box<dyn Watch>,
    pub(super) modules: Modules,
    pub(super) processes: Vec<(Followed, EndWatch)>,
    /// Every process ever met, so that none is tried twice.
    pub(super) met: HashSet<ProcessId>,
    pub(super) slots: Slots,
    /// Processes that are gone, until the next snapshot.
    pub(super) leaving: Vec<Leaving>,
    pub(super) releaser: Releaser,
    /// Blocks in the kernel whose process is gone.
    pub(super) stale_blocks: u64,
    /// News of forks, where the target is more than one process and the kernel lets us hear them.
    pub(super) forks: Option<Forks>,
    pub(super) pace: Pace,
    pub(super) symbolizer: Symbolizer,
    pub(super) stacks: Stacks,
    pub(super) tally: Tally,
    pub(super) own: Own,
    pub(super) modules_recorded: usize,
    pub(super) progress: Progress,
    pub(super) purse: Purse,
    pub(super) stream: Option<BlockStream>,
    pub(super) last_snapshot_ns: u64,
    pub(super) attach_took: Duration,
    /// When the probes came off, nanoseconds since the start, and how long that took.
    pub(super) let_go: Option<(u64, Duration)>,
    pub(super) cores: Cores,
}

/// Runs an investigation to its end.
pub fn investigate<'a>(
    subject: Subject,
    plan: &'a Plan<'a>,
    observer: Observer<'a>,
) -> Result<(), InvestigationError> {
    if let Some(obstacle) = plan.capabilities.obstacle_to(plan.settings.mode) {
        return Err(InvestigationError::Obstacle(obstacle));
    }
    let (target, mut launched) = match subject {
        Subject::Running(target) => (target, None),
        Subject::Launched(launched) => (Target::Tree(launched.id()), Some(launched)),
    };
    descriptors::raise_limit();
    let result = Run::start(target, plan, observer).and_then(|run| run.watch(launched.as_mut()));
    if let Some(mut launched) = launched {
        launched.stop().map_err(InvestigationError::Stop)?;
    }
    result
}

impl<'a> Run<'a> {
    /// Everything up to the moment when all probes are on.
    pub(super) fn start(
        target: Target,
        plan: &'a Plan<'a>,
        observer: Observer<'a>,
    ) -> Result<Self, InvestigationError> {
        let settings = plan.settings;
        let (ids, more) = target.processes()?;
        let first_look = Reading::take(ids.iter().copied());
        let mut modules = Modules::new(settings.debug_dirs.clone(), settings.allocator.clone());
        match (settings.mode, target == Target::Machine) {
            (Mode::Kernel, _) => {}
            (_, true) => return Err(InvestigationError::NoProcesses),
            (_, false) => look_at(&ids, &mut modules)?,
        }
        let mut watch = watch::open(plan, &target, &ids, &modules)?;
        let stream = match &settings.block_log {
            Some(path) => {
                let ring = watch.take_stream().ok_or(InvestigationError::NoBlocks)?;
                Some(BlockStream::start(path, ring, watch.side().start_ns)?)
            }
            None => None,
        };
        let forks = match target {
            Target::Process(_) => None,
            _ => Forks::listen()
                .inspect_err(|error| tracing::debug!(%error, "children are looked for at snapshots only"))
                .ok(),
        };
        let purse = Purse::new(settings, Payer::of(&target), watch.may_sample());
        let mut run = Run {
            plan,
            settings,
            held_back: Self::may_retreat(settings).then(Vec::new),
            observer,
            target,
            watch,
            modules,
            processes: Vec::new(),
            met: HashSet::new(),
            slots: Slots::default(),
            leaving: Vec::new(),
            releaser: Releaser::default(),
            stale_blocks: 0,
            forks,
            pace: Pace::new(Instant::now()),
            symbolizer: Symbolizer::default(),
            stacks: Stacks::default(),
            tally: Tally::default(),
            own: Own { processes_left_out: more as u64, ..Own::default() },
            modules_recorded: 0,
            progress: Progress {
                budget: purse.budget(),
                sample_period: settings.sample,
                ..Progress::default()
            },
            purse,
            stream,
            last_snapshot_ns: 0,
            attach_took: Duration::ZERO,
            let_go: None,
            cores: Cores::default(),
        };
        run.record(&Record::Header(header(plan, &run.target, &ids, &*run.watch, &run.modules)))?;
        run.cores.before = first_look.until(&Reading::take(ids.iter().copied()));
        run.open_purse()?;
        let began = Instant::now();
        let mut functions = 0;
        for id in ids {
            functions += run.follow(id)?.unwrap_or(0);
            run.look()?;
        }
        run.attach_took = began.elapsed();
        let how = run.watch.attached_by();
        let detail = match (functions, run.processes.len()) {
            (_, 0) if run.target == Target::Machine => format!("the whole machine by {how}"),
            (_, 0) => return Err(InvestigationError::Gone),
            (0, processes) => format!("{} by {how}", counted(processes, "process", "processes")),
            (_, processes) => format!(
                "{} in {} by {how}",
                counted(functions, "function", "functions"),
                counted(processes, "process", "processes")
            ),
        };
        run.event(EventKind::Attached, None, detail)?;
        Ok(run)
    }

    /// Follows one process, and says on how many functions probes went; `None` when it ended meanwhile, there is no slot
    /// left, or probes could get it killed.
    pub(super) fn follow(&mut self, id: ProcessId) -> Result<Option<usize>, InvestigationError> {
        self.met.insert(id);
        if self.let_go.is_some() {
            return Ok(None);
        }
        let Some(number) = self.slots.take() else {
            self.own.processes_left_out += 1;
            return Ok(None);
        };
        let mut process = Followed::new(id, number);
        let new = match self.watch.walks_programs() {
            false => Some(Vec::new()),
            true => process.remap(&mut self.modules).ok().flatten(),
        };
        let Some(new) = new.filter(|_| id.is_alive()) else {
            self.slots.give_back(number);
            return Ok(None);
        };
        if let Some(stream) = &self.stream {
            stream.process(number, id.pid);
        }
        if let Some(forks) = &mut self.forks
            && let Err(error) = forks.follow(id.pid)
        {
            tracing::debug!(%error, "the children of a process are looked for at snapshots only");
        }
        self.processes.push((process, EndWatch::new(id)));
        let index = self.processes.len() - 1;
        match self.attach(index, &new) {
            // its number was given to another between the look and the probes
            Ok(_) if matches!(id.verify(), Err(ProcessError::Reused { .. })) => {}
            Ok(functions) => return Ok(Some(functions)),
            Err(_) if !id.is_alive() => {}
            // whoever was there at the start was asked before
            Err(InvestigationError::Seccomp { .. }) => self.own.processes_left_out += 1,
            Err(error) => return Err(error),
        }
        if let Some((process, _)) = self.processes.pop() {
            self.leave(process);
        }
        Ok(None)
    }

    /// Lets the mode take in what a process has mapped, and says on how many functions probes went.
    pub(super) fn attach(&mut self, index: usize, new: &[u32]) -> Result<usize, InvestigationError> {
        let Some((process, _)) = self.processes.get_mut(index).filter(|_| self.let_go.is_none()) else {
            return Ok(0);
        };
        let following = self.watch.follow(process, &mut self.modules, new)?;
        self.own.mappings_left_out = self.own.mappings_left_out.max(following.mappings_left_out as u64);
        Ok(following.functions)
    }

    /// Nanoseconds since the start.
    pub(super) fn time_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.watch.side().start_ns)
    }

    pub(super) fn record(&mut self, record: &Record) -> Result<(), InvestigationError> {
        match &mut self.held_back {
            Some(held_back) => held_back.push(record.clone()),
            None => (self.observer.record)(record).map_err(InvestigationError::Sink)?,
        }
        Ok(())
    }
}

/// Opens what the processes have mapped, so that tables can be sized; all may be gone already.
fn look_at(ids: &[ProcessId], modules: &mut Modules) -> Result<(), InvestigationError> {
    let seen =
        ids.iter().filter(|id| Followed::new(**id, ProcessNumber::default()).remap(modules).is_ok()).count();
    if seen == 0 { Err(InvestigationError::Gone) } else { Ok(()) }
}
