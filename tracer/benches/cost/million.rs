//! A million live blocks: what the tracer holds in memory for them, and how long it takes to look at them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use leakhound_report::recording::{EventKind, Record};
use leakhound_tracer::{
    capabilities::Capabilities,
    investigation::{Observer, Plan, Subject, investigate},
    kernel_side::monotonic_ns,
    locate::Target,
    process::ProcessId,
    settings::Settings,
};

use crate::program::compile;

const BLOCKS: usize = 1_000_000;

pub(crate) fn measure(folder: &Path) {
    let program = compile(folder, "hold");
    let mut child = Command::new(program)
        .arg(BLOCKS.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut go, said) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let held = AtomicBool::new(false);
    let stop = AtomicBool::new(false);
    let before = resident();
    let settings = Settings {
        duration: Duration::from_secs(600),
        interval: Duration::from_secs(1),
        ..Settings::default()
    };
    let capabilities = Capabilities::probe(false);
    let plan = Plan { settings: &settings, capabilities: &capabilities, container: None };
    let subject = Subject::Running(Target::Process(ProcessId::find(child.id()).unwrap()));
    let (mut start_ns, mut let_go_ns) = (0, 0);
    let (mut snapshot_ms, mut last_look_ms, mut live, mut kernel, mut own) = (0.0, 0.0, 0, 0, 0);
    let milliseconds = |from: u64| monotonic_ns().saturating_sub(from) as f64 / 1e6;
    std::thread::scope(|scope| {
        let held = &held;
        scope.spawn(move || {
            let mut line = String::new();
            BufReader::new(said).read_line(&mut line).unwrap();
            held.store(true, Ordering::Relaxed);
        });
        let mut after = 0;
        let observer = Observer {
            record: &mut |record: &Record| {
                match record {
                    Record::Event(event) if event.what == EventKind::Attached => {
                        start_ns = monotonic_ns() - event.time_ns;
                        go.write_all(b"go\n")?;
                    }
                    Record::Event(event) if event.what == EventKind::Detached => let_go_ns = monotonic_ns(),
                    Record::Snapshot(snapshot) if held.load(Ordering::Relaxed) => {
                        snapshot_ms = milliseconds(start_ns + snapshot.time_ns);
                        live = snapshot.ledger["allocations"];
                        after += 1;
                        if after == 3 {
                            (kernel, own) = (kernel_memory(), resident());
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                    Record::End(_) => last_look_ms = milliseconds(let_go_ns),
                    _ => {}
                }
                Ok(())
            },
            progress: &mut |_| {},
            stop: &stop,
        };
        investigate(subject, &plan, observer).unwrap();
    });
    let _ = child.kill();
    let _ = child.wait();
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "{live} blocks from 1000 stacks: {} MiB in the kernel and {} MiB of our own ({} MiB before); a snapshot takes {snapshot_ms:.1} ms, \
         the last look at every block {last_look_ms:.0} ms",
        mib(kernel),
        mib(own),
        mib(before)
    );
}

/// What all maps of this process take.
fn kernel_memory() -> u64 {
    let entries = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts
        .filter(|text| text.contains("map_type"))
        .filter_map(|text| {
            text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse::<u64>().ok())
        })
        .sum()
}

/// Our own resident memory. The arrays of unwind tables are mapped into it as well.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0, |kib: u64| kib << 10)
}
