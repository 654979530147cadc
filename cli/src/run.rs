//! `leakhound run`: a live investigation.

use std::{
    io::{self, Write},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use leakhound_report::{
    amount,
    analysis::{FEWEST_SNAPSHOTS, GOOD_SNAPSHOTS},
    recording::{Record, Recording, Writer},
};
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
            "--interval {interval:?} is longer than --duration {:?}: a verdict needs at least {FEWEST_SNAPSHOTS} snapshots, so use at most a third of the duration",
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

fn default_interval(duration: Duration) -> Duration {
    (duration / snapshots(GOOD_SNAPSHOTS)).clamp(Duration::from_secs(1), Duration::from_mins(1)).min(duration)
}

fn snapshots(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// That nothing can be concluded in so short a time, which is better known before than after; `None` when something can.
fn too_short(settings: &Settings) -> Option<String> {
    let Settings { duration, interval, .. } = settings;
    let room = duration.as_nanos().div_ceil(interval.as_nanos().max(1));
    let for_snapshots = |count| typed(*interval * snapshots(count));
    (room < FEWEST_SNAPSHOTS as u128).then(|| {
        format!(
            "--duration {} has room for {}, and a verdict needs at least {FEWEST_SNAPSHOTS}: --duration {} or more, better {}; or --interval {}",
            typed(*duration),
            amount::counted(room, "snapshot", "snapshots"),
            for_snapshots(FEWEST_SNAPSHOTS),
            for_snapshots(GOOD_SNAPSHOTS),
            typed(*duration / snapshots(FEWEST_SNAPSHOTS)),
        )
    })
}

/// A time as the command line takes it.
fn typed(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// Runs the investigation and returns what it recorded, also into a file when one was asked for, and what went wrong beside it.
fn record(
    run: &Run,
    settings: &Settings,
    file: Option<Destination>,
    quiet_target: bool,
) -> Result<(Recording, Result<(), InvestigationError>)> {
    let mut writer = file.map(Destination::into_stream).map(Writer::new);
    // heap mode's programs are loaded by the investigation itself, which says so when that fails
    let modes = [settings.mode];
    let tried = if run.mode == Mode::Heap { &[][..] } else { &modes };
    let capabilities = Capabilities::probe(run.attach.is_some()).with_modes(tried);
    if let Some(obstacle) = capabilities.obstacle_to(settings.mode) {
        let more = match capabilities.missing.is_empty() {
            true => "",
            false => "; leakhound doctor says what each is for",
        };
        bail!(InvestigationError::Obstacle(obstacle + more));
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in TERM_SIGNALS {
        // a second Ctrl-C ends at once: the kernel takes the probes off
        flag::register_conditional_shutdown(*signal, 1, Arc::clone(&stop))?;
        flag::register(*signal, Arc::clone(&stop))?;
    }
    let subject = subject(run, quiet_target)?;
    if let Some(warning) = too_short(settings).filter(|_| !run.quiet) {
        let _ = writeln!(io::stderr(), "leakhound: {warning}");
    }
    let container = run.target.container.clone();
    let plan = Plan { settings, capabilities: &capabilities, container };

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_short_for_a_verdict_is_known_before() {
        let warning = |duration: u64, interval: u64| {
            let [duration, interval] = [duration, interval].map(Duration::from_millis);
            too_short(&Settings { duration, interval, ..Settings::default() })
        };
        let said = warning(1000, 1000).unwrap();
        assert!(said.contains("has room for 1 snapshot, and a verdict needs at least 3"), "{said}");
        assert!(said.contains("--duration 3s or more, better 20s; or --interval 333ms"), "{said}");
        assert!(
            warning(1000, 500).unwrap().contains("2 snapshots")
                && warning(1000, 500).unwrap().contains("1500ms")
        );
        assert_eq!(warning(1000, 400), None);
        assert_eq!(warning(3000, 1000), None);
    }
}
