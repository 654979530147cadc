//! The tracer on a thread of its own, and what it has recorded so far.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use leakhound_report::recording::{EventKind, Record, Recording};
use leakhound_tracer::{
    capabilities::Capabilities,
    investigation::{InvestigationError, Observer, Plan, Progress, Subject, investigate},
    locate::Target,
    settings::Settings,
};
use thiserror::Error;
use tokio::{sync::watch, task::JoinHandle};

use crate::spool::{Tape, TapeLoss};

/// As many bytes of snapshots are held for the numbers that are told meanwhile; of more every second one is left out. The file
/// has them all.
const HELD: usize = 48 << 20;

/// What to trace, and how.
pub(crate) struct Job {
    /// The processes.
    pub(crate) target: Target,
    /// How.
    pub(crate) settings: Settings,
    /// What the node allows.
    pub(crate) capabilities: Arc<Capabilities>,
    /// The container's id, for the recording.
    pub(crate) container_id: String,
    /// End when watching costs more than its budget, rather than look at fewer allocations.
    pub(crate) ends_when_too_dear: bool,
}

/// A tracer at work. Dropping it takes the probes off, as soon as the tracer looks up.
pub(crate) struct Watching {
    shared: Arc<Shared>,
    snapshots: watch::Receiver<usize>,
    thread: JoinHandle<Ended>,
}

/// How a tracer ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the tracer says.
    pub(crate) result: Result<(), WatchError>,
    /// What became of the file.
    pub(crate) tape: Result<(), TapeLoss>,
}

/// A tracer failed.
#[derive(Debug, Error)]
pub(crate) enum WatchError {
    /// It says why.
    #[error(transparent)]
    Investigation(#[from] InvestigationError),
    /// It does not.
    #[error("the tracer broke down: {0}")]
    Panic(String),
}

#[derive(Debug, Default)]
struct Shared {
    recording: Mutex<Option<Recording>>,
    /// Snapshots that were left out of it for want of room.
    left_out: AtomicUsize,
    progress: Mutex<Progress>,
    /// The highest rate of events so far; growth mode, which may go on without probes, counts none.
    busiest: Mutex<f64>,
    stop: AtomicBool,
    too_dear: AtomicBool,
}

impl Watching {
    /// Begins to trace, into a file as well.
    pub(crate) fn start(job: Job, mut tape: Tape) -> Self {
        let shared = Arc::new(Shared::default());
        let (counted, snapshots) = watch::channel(0);
        let inside = Arc::clone(&shared);
        let thread = tokio::task::spawn_blocking(move || {
            let result = trace(job, &inside, |record| {
                tape.write(record);
                if matches!(record, Record::Snapshot(_)) {
                    counted.send_modify(|count| *count += 1);
                }
            });
            Ended { result: result.map_err(WatchError::from), tape: tape.finish() }
        });
        Self { shared, snapshots, thread }
    }

    /// Asks the tracer to take a last snapshot and to end.
    pub(crate) fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Snapshots taken so far; changes with each.
    pub(crate) fn snapshots(&self) -> watch::Receiver<usize> {
        self.snapshots.clone()
    }

    /// What was recorded so far; `None` before anything was.
    pub(crate) fn recording(&self) -> Option<Recording> {
        self.shared.lock().clone()
    }

    /// Snapshots that were taken and are not in [`Watching::recording`].
    pub(crate) fn left_out(&self) -> usize {
        self.shared.left_out.load(Ordering::Relaxed)
    }

    /// What watching costs now.
    pub(crate) fn progress(&self) -> Progress {
        *self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most calls and frees a second so far.
    pub(crate) fn busiest(&self) -> f64 {
        *self.shared.busiest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it ended, or is about to, because it cost more than its budget.
    pub(crate) fn is_too_dear(&self) -> bool {
        self.shared.too_dear.load(Ordering::Relaxed)
    }

    /// Waits for the end; may be dropped and called again.
    pub(crate) async fn ended(&mut self) -> Ended {
        match (&mut self.thread).await {
            Ok(ended) => ended,
            Err(error) => Ended { result: Err(WatchError::Panic(error.to_string())), tape: Ok(()) },
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Nothing is ever left half done under this lock, so a thread that broke down does not matter.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Recording>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, record: &Record) {
        let mut recording = self.lock();
        match (&mut *recording, record) {
            (Some(recording), record) => {
                recording.push(record.clone());
                if matches!(record, Record::Snapshot(_)) && recording.snapshot_bytes() > HELD {
                    self.left_out.fetch_add(recording.thin_out(), Ordering::Relaxed);
                }
            }
            (none, Record::Header(header)) => *none = Some(Recording::new(header.clone())),
            (None, _) => {} // the header is always first
        }
    }
}

fn trace(job: Job, shared: &Shared, mut record: impl FnMut(&Record)) -> Result<(), InvestigationError> {
    let Job { target, settings, capabilities, container_id, ends_when_too_dear } = job;
    let plan = Plan { settings: &settings, capabilities: &capabilities, container: Some(container_id) };
    let observer = Observer {
        record: &mut |one: &Record| -> io::Result<()> {
            shared.push(one);
            record(one);
            let step = matches!(one, Record::Event(event) if event.what == EventKind::BudgetStep);
            let gave_up = matches!(one, Record::End(end) if end.reason == "budget");
            if gave_up || step && ends_when_too_dear {
                shared.too_dear.store(true, Ordering::Relaxed);
                shared.stop.store(true, Ordering::Relaxed);
            }
            Ok(())
        },
        progress: &mut |now: &Progress| {
            *shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = *now;
            let mut busiest = shared.busiest.lock().unwrap_or_else(PoisonError::into_inner);
            *busiest = busiest.max(now.events_per_second);
        },
        stop: &shared.stop,
    };
    investigate(Subject::Running(target), &plan, observer)
}
