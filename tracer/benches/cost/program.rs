//! The measured program: it prints what a pair of malloc and free costs it, for ever.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use leakhound_tracer::process::ProcessId;

/// What the program does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Calls between `main` and the allocation.
    pub(crate) depth: usize,
    pub(crate) threads: usize,
}

/// How long each way is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(pub(crate) Duration);

impl Length {
    /// `SECONDS` of the environment, else five.
    pub(crate) fn chosen() -> Self {
        let asked = std::env::var("SECONDS").ok().and_then(|seconds| seconds.parse::<f64>().ok());
        Self(Duration::from_secs_f64(asked.filter(|seconds| *seconds > 0.0).unwrap_or(5.0)))
    }
}

pub(crate) fn compile(folder: &Path, name: &str) -> PathBuf {
    let program = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/cost").join(name).with_extension("c");
    let status =
        Command::new("cc").args(["-O2", "-pthread", "-o"]).arg(&program).arg(source).status().unwrap();
    assert!(status.success(), "cc {name}");
    program
}

/// The program at work; it ends with this value.
pub(crate) struct Bench {
    child: Child,
    costs: Receiver<f64>,
    length: Length,
}

impl Bench {
    /// Starts it: one thread on a CPU of its own, several wherever they like.
    pub(crate) fn start(program: &Path, scenario: Scenario, length: Length) -> Self {
        let mut command = match scenario.threads {
            1 => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", "1"]).arg(program);
                pinned
            }
            _ => Command::new(program),
        };
        let (depth, threads) = (scenario.depth.to_string(), scenario.threads.to_string());
        let mut child = command
            .args(["5000", &depth, &threads])
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset of util-linux is installed");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (send, costs) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(line.parse().unwrap_or(f64::NAN)).is_err() {
                    return;
                }
            }
        });
        let bench = Self { child, costs, length };
        bench.costs.recv_timeout(Duration::from_secs(30)).expect("the program runs");
        bench
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn id(&self) -> ProcessId {
        ProcessId::find(self.pid()).unwrap()
    }

    /// Waits until a pair costs several times as much as `unprobed`; `false` when it never does.
    pub(crate) fn wait_for_probes(&self, unprobed: f64) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut slow = 0;
        while slow < 3 && Instant::now() < deadline {
            slow = if self.costs.recv().unwrap() > unprobed * 10.0 { slow + 1 } else { 0 };
        }
        slow == 3
    }

    /// Median cost of a pair from now on, after a fifth as long to warm up.
    pub(crate) fn measure(&self) -> f64 {
        let warm = Instant::now() + self.length.0 / 5;
        while Instant::now() < warm {
            self.costs.recv().unwrap();
        }
        let end = Instant::now() + self.length.0;
        let mut costs = Vec::new();
        while Instant::now() < end {
            costs.push(self.costs.recv().unwrap());
        }
        costs.sort_by(f64::total_cmp);
        costs[costs.len() / 2]
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
