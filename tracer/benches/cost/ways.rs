//! The ways of watching that are compared.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    time::Duration,
};

use leakhound_ebpf::{PROBE, abi::ProcessNumber};
use leakhound_report::recording::{End, Record};
use leakhound_tracer::{
    allocator::Wanted,
    attachment::ProcessProbes,
    bpf::Object,
    capabilities::Capabilities,
    followed::Followed,
    investigation::{Observer, Plan, Subject, investigate},
    locate::Target,
    modules::Modules,
    rung::{EMPTY, Probes, Rung},
    settings::Settings,
};

use crate::program::Bench;

/// Probes at the same places whose programs do nothing: what the traps alone cost.
pub(crate) fn with_empty(bench: &Bench, rung: Rung) -> f64 {
    let mut modules = Modules::new(Vec::new(), Wanted::default());
    let number = ProcessNumber::default();
    let mut process = Followed::new(bench.id(), number);
    let numbers = process.remap(&mut modules).unwrap().unwrap();
    let files: Vec<_> = numbers.into_iter().filter_map(|number| modules.sites(number)).collect();
    let mut object = Object::load(PROBE, &[], &[]).unwrap();
    let probes = Probes::load(&mut object, EMPTY, rung).unwrap();
    let mut attached = ProcessProbes::default();
    attached.attach(&probes, &mut object, &files, bench.pid(), number).unwrap();
    bench.measure()
}

/// An investigation as users have it, whatever it takes.
pub(crate) fn with_investigation(bench: &Bench, settings: &Settings) -> (f64, End) {
    let settings = Settings { duration: Duration::from_secs(3600), budget: None, ..settings.clone() };
    let capabilities = Capabilities::probe(true);
    let plan = Plan { settings: &settings, capabilities: &capabilities, container: None };
    let stop = AtomicBool::new(false);
    let id = bench.id();
    let mut end = End::default();
    let cost = std::thread::scope(|scope| {
        let (on, wait_until_on) = channel();
        let (stop, plan, end) = (&stop, &plan, &mut end);
        scope.spawn(move || {
            let observer = Observer {
                record: &mut |record: &Record| {
                    if let Record::End(record) = record {
                        *end = record.clone();
                    }
                    Ok(())
                },
                progress: &mut |_| {
                    let _ = on.send(());
                },
                stop,
            };
            let subject = Subject::Running(Target::Process(id));
            investigate(subject, plan, observer).unwrap();
        });
        wait_until_on.recv().expect("probes go on");
        let cost = bench.measure();
        stop.store(true, Ordering::Relaxed);
        cost
    });
    (cost, end)
}

/// The peer, run as its users do; `None`, with the reason, when it cannot be had.
pub(crate) fn with_peer(bench: &Bench, folder: &Path, unprobed: f64) -> Option<f64> {
    let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cost/get-peer.sh");
    if !Command::new(fetch).arg(folder).status().is_ok_and(|status| status.success()) {
        println!("memleak is left out: it could not be fetched");
        return None;
    }
    let mut peer = Command::new(folder.join("memleak"))
        .args(["-p", &bench.pid().to_string(), "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut lines = BufReader::new(peer.stdout.take()?).lines();
    let tracing = lines.by_ref().map_while(Result::ok).any(|line| line.contains("Tracing outstanding"));
    let drain = std::thread::spawn(move || lines.map_while(Result::ok).count());
    // it says so before its probes are all on
    let cost = (tracing && bench.wait_for_probes(unprobed)).then(|| bench.measure());
    let _ = Command::new("kill").arg(peer.id().to_string()).status();
    let _ = peer.wait();
    let _ = drain.join();
    cost
}
