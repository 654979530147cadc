//! The flow of an investigation.

use std::{
    collections::HashSet,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use leakhound_ebpf::abi::MAX_PROCESSES;
use leakhound_report::recording::{self, End, EventKind, Header, Host, Mode, Overhead, Record, Snapshot};

use super::{
    InvestigationError, Observer, Plan, Progress, Subject,
    ledger::{self, Own},
    wait::{EndWatch, Woken, wait_until},
};
use crate::{
    accounting, blocks,
    calibrate::calibrate,
    followed::Followed,
    heap::{Capacity, Constants, Heap, monotonic_ns},
    launch::Launched,
    locate::Target,
    modules::Modules,
    process::ProcessId,
    rung::Rung,
    settings::Settings,
    stacks::Stacks,
    symbolize::Symbolizer,
    tally::Tally,
};

/// Rows and pages kept free for libraries loaded later: 4 MiB, a large C++ library's worth.
const SPARE_ROWS: usize = 400_000;
const SPARE_PAGES: usize = 20_000;

/// Everything that lives as long as the probes.
pub(super) struct Run<'a> {
    settings: &'a Settings,
    observer: Observer<'a>,
    pub(super) target: Target,
    pub(super) heap: Heap,
    pub(super) modules: Modules,
    pub(super) processes: Vec<(Followed, EndWatch)>,
    /// Every process ever met, so that none is tried twice.
    pub(super) met: HashSet<ProcessId>,
    next_slot: u16,
    symbolizer: Symbolizer,
    pub(super) stacks: Stacks,
    pub(super) tally: Tally,
    pub(super) own: Own,
    modules_recorded: usize,
    progress: Progress,
    events: u64,
    attach: Duration,
    probe_ns: f64,
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
    let rung = plan.settings.rung.or_else(|| plan.capabilities.best_rung()).unwrap_or(Rung::PerfEvent);
    let (target, mut launched) = match subject {
        Subject::Running(target) => (target, None),
        Subject::Launched(launched) => (Target::Tree(launched.id()), Some(launched)),
    };
    let result = Run::start(target, plan, rung, observer).and_then(|run| run.watch(launched.as_mut()));
    if let Some(mut launched) = launched {
        launched.stop().map_err(InvestigationError::Stop)?;
    }
    result
}

impl<'a> Run<'a> {
    /// Everything up to the moment when all probes are on.
    fn start(
        target: Target,
        plan: &'a Plan<'a>,
        rung: Rung,
        observer: Observer<'a>,
    ) -> Result<Self, InvestigationError> {
        let settings = plan.settings;
        let (ids, more) = target.processes()?;
        if let Some(id) =
            ids.iter().find(|id| id.has_seccomp_filter() && plan.capabilities.return_probes_hurt_seccomp())
        {
            return Err(InvestigationError::Seccomp {
                pid: id.pid,
                kernel: plan.capabilities.kernel.clone(),
            });
        }
        let mut modules = Modules::new(settings.debug_dirs.clone());
        let mut first_look: Vec<Followed> = Vec::new();
        for id in &ids {
            let mut process = Followed::new(*id, 0);
            if process.remap(&mut modules).is_ok() {
                first_look.push(process);
            }
        }
        if first_look.is_empty() {
            return Err(InvestigationError::Gone);
        }
        require_allocator(&modules)?;

        let (rows, pages) = modules.table_size();
        let entries = |wanted: usize, spare: usize| u32::try_from(wanted + spare).unwrap_or(u32::MAX);
        let capacity = Capacity {
            rows: entries(rows, SPARE_ROWS),
            pages: entries(pages, SPARE_PAGES),
            ..settings.capacity
        };
        let constants = Constants { cohort: settings.cohort(), min_size: settings.min_size };
        // before the clock of the recording starts
        let probe_ns = calibrate(rung)
            .map_err(|source| InvestigationError::Attach { pid: std::process::id(), source })?;
        let heap = Heap::load(rung, constants, capacity)?;
        let mut run = Run {
            settings,
            observer,
            target,
            heap,
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
            attach: Duration::ZERO,
            probe_ns,
        };
        run.record(&Record::Header(run.header(&ids, plan, rung)))?;
        let began = Instant::now();
        for id in ids {
            run.follow(id)?;
        }
        run.attach = began.elapsed();
        if run.processes.is_empty() {
            return Err(InvestigationError::Gone);
        }
        let sites: usize = run.processes.iter().map(|(process, _)| process.probes.sites()).sum();
        let detail = format!("{sites} functions in {} processes by {}", run.processes.len(), rung.name());
        run.event(EventKind::Attached, None, detail)?;
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
            let woken = self.wait(due, began);
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

    /// Follows one process; `false` when it ended meanwhile or there is no slot left.
    pub(super) fn follow(&mut self, id: ProcessId) -> Result<bool, InvestigationError> {
        self.met.insert(id);
        if usize::from(self.next_slot) >= MAX_PROCESSES {
            self.own.processes_left_out += 1;
            return Ok(false);
        }
        let mut process = Followed::new(id, self.next_slot);
        let new = match process.remap(&mut self.modules) {
            Ok(Some(new)) if id.is_alive() => new,
            _ => return Ok(false),
        };
        self.next_slot += 1;
        self.modules.place_tables(&mut self.heap.unwind);
        self.processes.push((process, EndWatch::new(id)));
        let index = self.processes.len() - 1;
        self.update_table(index)?;
        match self.probe(index, &new) {
            Ok(_) => Ok(true),
            Err(_) if !id.is_alive() => {
                self.processes.truncate(index);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives the kernel a process's present mappings.
    pub(super) fn update_table(&mut self, index: usize) -> Result<(), InvestigationError> {
        let Some((process, _)) = self.processes.get(index) else { return Ok(()) };
        let (table, left_out) = process.kernel_table(&self.modules);
        self.own.mappings_left_out = self.own.mappings_left_out.max(left_out as u64);
        Ok(self.heap.set_process(process.slot.into(), &table)?)
    }

    /// Puts probes on the allocators of some modules in one process, and says on how many functions.
    pub(super) fn probe(&mut self, index: usize, modules: &[u32]) -> Result<usize, InvestigationError> {
        let files: Vec<_> = modules.iter().filter_map(|number| self.modules.sites(*number)).collect();
        let Some((process, _)) = self.processes.get_mut(index) else { return Ok(0) };
        let before = process.probes.sites();
        let (pid, slot) = (process.id.pid, process.slot);
        process
            .probes
            .attach(&self.heap.probes, &mut self.heap.object, &files, pid, slot)
            .map_err(|source| InvestigationError::Attach { pid, source })?;
        Ok(process.probes.sites() - before)
    }

    fn header(&self, ids: &[ProcessId], plan: &Plan<'_>, rung: Rung) -> Header {
        let first = ids.first();
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let allocators = (0..self.modules.len())
            .filter_map(|number| u32::try_from(number).ok())
            .flat_map(|number| self.modules.allocators(number));
        Header {
            format: recording::FORMAT.to_owned(),
            mode: Mode::Heap,
            started_unix_ms: now.and_then(|now| u64::try_from(now.as_millis()).ok()),
            target: recording::Target {
                pids: ids.iter().map(|id| id.pid).collect(),
                command: first.map(|id| id.command()).unwrap_or_default(),
                container: plan.container.clone(),
                memory_limit_bytes: first.and_then(|id| accounting::cgroup_memory(*id)?.limit),
            },
            settings: recording::Settings {
                duration_ns: nanoseconds(self.settings.duration),
                interval_ns: nanoseconds(self.settings.interval),
                min_size_bytes: self.settings.min_size,
                sample_period_bytes: 0,
                cohort_ns: nanoseconds(self.settings.cohort()),
            },
            host: Host {
                kernel: plan.capabilities.kernel.clone(),
                architecture: plan.capabilities.architecture.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                attach: rung.name().to_owned(),
            },
            allocators: allocators.collect(),
            ..Header::default()
        }
    }

    /// Reads the counters and records what changed.
    fn snapshot(&mut self) -> Result<(), InvestigationError> {
        let time_ns = self.time_ns();
        let reading = self.heap.counters()?;
        let mut new = Vec::new();
        let mut asked = HashSet::new();
        for (key, _) in &reading {
            if self.stacks.id(key.stack).is_none() && asked.insert(key.stack) {
                new.push((key.stack, self.heap.stack(key.stack)?));
            }
        }
        let followed = self.processes.iter().map(|(process, _)| process);
        let stacks = self.stacks.add(&new, followed, &self.modules, &mut self.symbolizer);
        let modules: Vec<_> = self.modules.records_from(self.modules_recorded).collect();
        self.modules_recorded += modules.len();
        for module in modules {
            self.record(&Record::Module(module))?;
        }
        for stack in stacks {
            self.record(&Record::Stack(stack))?;
        }
        let changed = {
            let numbers = &self.stacks;
            self.tally.update(&reading, |hash| numbers.id(hash).unwrap_or(u32::MAX))
        };
        self.own.modules = self.modules.losses;
        self.own.symbols = self.symbolizer.stats;
        let ledger = ledger::compose(&self.heap.ledger()?, self.tally.sum(), &self.own);
        self.note_progress(ledger::events(&ledger), time_ns);
        let ids: Vec<ProcessId> = self.processes.iter().map(|(process, _)| process.id).collect();
        let snapshot = Snapshot {
            time_ns,
            processes: ids.iter().filter_map(|id| accounting::account(*id)).collect(),
            cgroup_bytes: ids.first().and_then(|id| accounting::cgroup_memory(*id)).map(|memory| memory.used),
            stacks: changed,
            ledger,
        };
        self.record(&Record::Snapshot(snapshot))
    }

    fn note_progress(&mut self, events: u64, time_ns: u64) {
        let (live_bytes, live_count) = self.tally.live();
        let seconds = self.settings.interval.min(Duration::from_nanos(time_ns.max(1))).as_secs_f64();
        self.progress.snapshots += 1;
        self.progress.live_bytes = live_bytes;
        self.progress.live_count = live_count;
        self.progress.events_per_second = events.saturating_sub(self.events) as f64 / seconds;
        self.events = events;
        (self.observer.progress)(&self.progress);
    }

    /// Takes the probes off and records the end. The last snapshot was before: between the first probe coming off and the
    /// last, frees are seen whose allocations are not.
    fn finish(mut self, reason: &str) -> Result<(), InvestigationError> {
        let began = Instant::now();
        for (process, _) in &mut self.processes {
            process.probes.detach_calls();
        }
        for (process, _) in &mut self.processes {
            process.probes = crate::attachment::ProcessProbes::default();
        }
        let detach = began.elapsed();
        self.event(EventKind::Detached, None, String::new())?;
        let largest = self.tally.largest(blocks::STACKS);
        let pids = self.processes.iter().map(|(process, _)| (process.slot, process.id.pid)).collect();
        let blocks =
            blocks::oldest(&self.heap, &self.stacks, &largest, &pids, self.settings.blocks_per_stack)?;
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let end = End {
            time_ns: self.time_ns(),
            reason: reason.to_owned(),
            overhead: Overhead {
                attach_ns: nanoseconds(self.attach),
                detach_ns: nanoseconds(detach),
                events: self.events,
                probe_ns: self.probe_ns,
            },
            blocks,
        };
        self.record(&Record::End(end))
    }

    /// Nanoseconds since the start.
    pub(super) fn time_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.heap.start_ns)
    }

    pub(super) fn record(&mut self, record: &Record) -> Result<(), InvestigationError> {
        (self.observer.record)(record).map_err(InvestigationError::Sink)
    }
}

fn require_allocator(modules: &Modules) -> Result<(), InvestigationError> {
    let numbers = || (0..modules.len()).filter_map(|number| u32::try_from(number).ok());
    if numbers().any(|number| modules.sites(number).is_some()) {
        return Ok(());
    }
    let paths: Vec<String> =
        numbers().filter_map(|number| modules.get(number)).map(|module| module.image.path.clone()).collect();
    Err(InvestigationError::NoAllocator { looked_at: paths.join(", ") })
}
