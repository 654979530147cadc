//! `leakhound run`: a live investigation.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use leakhound_report::recording::{Record, Recording, Writer};
use leakhound_tracer::{
    capabilities::Capabilities,
    investigation::{InvestigationError, Observer, Plan, Progress, Subject, investigate},
    launch::Launched,
    locate::Target,
    process::ProcessId,
    settings::{Capacity, Settings},
};
use signal_hook::{consts::TERM_SIGNALS, flag};

use crate::{
    Outcome,
    args::{Mode, Run},
    destination::Destination,
    outputs::Opened,
    progress::Line,
    usage::misuse,
};

pub(crate) fn run(run: &Run) -> Result<Outcome> {
    let settings = settings(run);
    let outputs = Opened::open(&run.outputs)?;
    let recording = run.recording.as_deref().map(Destination::open).transpose()?;
    if recording.as_ref().is_some_and(Destination::is_stdout) && outputs.use_stdout() {
        misuse("only one result can go to standard output: give the others a file");
    }
    let kept_as = run.recording.as_deref();
    match record(run, &settings, recording, outputs.use_stdout()) {
        Ok((recording, Ok(()))) => outputs.write(&recording, kept_as, &run.outputs, run.quiet),
        // the answer is whole: it is given before the complaint
        Ok((recording, Err(incomplete))) => {
            outputs.write(&recording, kept_as, &run.outputs, run.quiet)?;
            Err(incomplete.into())
        }
        Err(error) => {
            outputs.abandon();
            Err(error)
        }
    }
}

fn settings(run: &Run) -> Settings {
    let interval = run.interval.unwrap_or_else(|| default_interval(run.duration));
    if interval > run.duration {
        misuse(&format!(
            "--interval {interval:?} is longer than --duration {:?}: a verdict needs at least 3 snapshots, so use at most a third of the duration",
            run.duration
        ));
    }
    if run.mode != Mode::Heap && run.attach.is_some() {
        misuse(
            "--attach is about probes in a program, and only heap mode has any: leave out --attach, or --mode",
        );
    }
    if run.mode != Mode::Heap && run.events.is_some() {
        misuse(
            "--events needs heap mode, in which every block is seen being freed: leave out --events, or --mode",
        );
    }
    if run.mode == Mode::Growth && run.sample.is_some() {
        misuse(
            "--sample draws among single allocations, and growth mode sees pages and follows each: leave out --sample, or use heap and kernel mode, which take samples",
        );
    }
    Settings {
        mode: run.mode.into(),
        duration: run.duration,
        interval,
        min_size: run.min_size,
        sample: run.sample,
        block_log: run.events.clone(),
        budget: run.budget.0,
        rung: run.attach.map(Into::into),
        capacity: Capacity { blocks: run.max_blocks, ..Capacity::default() },
        ..Settings::default()
    }
}

/// Twenty snapshots tell a trend from noise.
fn default_interval(duration: Duration) -> Duration {
    (duration / 20).clamp(Duration::from_secs(1), Duration::from_mins(1)).min(duration)
}

/// Runs the investigation and returns what it recorded, also into a file when one was asked for, and what went wrong beside it.
fn record(
    run: &Run,
    settings: &Settings,
    file: Option<Destination>,
    quiet_target: bool,
) -> Result<(Recording, Result<(), InvestigationError>)> {
    // heap mode's programs are loaded by the investigation itself, which says so when that fails
    let modes = [settings.mode];
    let tried = if run.mode == Mode::Heap { &[][..] } else { &modes };
    let capabilities = Capabilities::probe(run.attach.is_some()).with_modes(tried);
    if let Some(obstacle) = capabilities.obstacle_to(settings.mode) {
        bail!(InvestigationError::Obstacle(obstacle));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        // a second Ctrl-C ends at once: the kernel takes the probes off
        flag::register_conditional_shutdown(*signal, 1, Arc::clone(&stop))?;
        flag::register(*signal, Arc::clone(&stop))?;
    }
    let subject = subject(run, quiet_target)?;
    let container = run.target.container.clone();
    let plan = Plan { settings, capabilities: &capabilities, container };

    let mut writer = file.map(Destination::into_stream).transpose()?.map(Writer::new);
    let mut records = Vec::new();
    let line = Line::new(settings.duration, run.quiet, "attaching");
    let launched = !run.target.command.is_empty();
    let observer = Observer {
        record: &mut |record: &Record| -> io::Result<()> {
            let mut record = record.clone();
            if let Record::Header(header) = &mut record {
                header.target.launched = launched;
            }
            if let Some(writer) = &mut writer {
                writer.write(&record)?;
            }
            records.push(record);
            Ok(())
        },
        progress: &mut |progress: &Progress| line.show(progress, settings.duration),
        stop: &stop,
    };
    let result = investigate(subject, &plan, observer);
    line.clear();
    if let Some(writer) = writer {
        writer.finish().context("cannot write the recording")?;
    }
    let whole = matches!(records.last(), Some(Record::End(_)));
    let beside = match result {
        Err(error @ InvestigationError::BlockLog(_)) if whole => Err(error),
        other => Ok(other?),
    };
    Ok((Recording::from_records(records)?, beside))
}

fn subject(run: &Run, quiet_target: bool) -> Result<Subject> {
    Ok(match (&run.target.pid, &run.target.container) {
        (Some(pid), _) => {
            let id = ProcessId::find(*pid)?;
            Subject::Running(if run.children { Target::Tree(id) } else { Target::Process(id) })
        }
        (None, Some(id)) => Subject::Running(Target::container(id)?),
        (None, None) if run.target.command.is_empty() => match run.mode {
            Mode::Kernel => Subject::Running(Target::Machine),
            Mode::Heap | Mode::Growth => misuse(
                "whom to watch? A process: leakhound run --pid N; a container: leakhound run --container ID; or a program to start: leakhound run -- COMMAND; only --mode kernel can do without",
            ),
        },
        (None, None) => Subject::Launched(Launched::spawn(&run.target.command, quiet_target)?),
    })
}
