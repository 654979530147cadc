//! The command line as typed.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use leakhound_crds::Verdict;
use leakhound_report::{analysis::Class, recording};
use leakhound_tracer::{budget::Budget, rung::Rung, sampling::Period};

use crate::cluster::args::Cluster;

const EXAMPLES: &str = "\
Examples:
  leakhound run --pid 4711                            watch a running process for a minute
  leakhound run --duration 10m --html report.html --pid 4711
                                                      the same for ten minutes, with a report to open in a browser
  leakhound run --container 3f4e1c2b9a77              all processes of a container
  leakhound run --mode growth --pid 4711              a program with an allocator of its own: Go, Java
  leakhound run --mode kernel                         what the kernel allocates and does not free
  leakhound run --duration 10s --interval 1s -- ./server --port 8080
                                                      start a program and watch it from its first instruction
  leakhound report memleak.log --html report.html     the same report from a log of bcc's or libbpf-tools' memleak
  leakhound diff before.lhr after.lhr                 what grew between two recordings
  leakhound doctor                                    what this kernel and these privileges allow
  leakhound cluster run cart-6c9f-x2lqp               watch a pod of a Kubernetes cluster

Exit status: 0 the investigation worked, whatever it found; 1 it failed; 2 wrong use; 3 --fail-on was met.";

/// Which call stacks leak memory, how sure are we, and where in the source are they?
#[derive(Debug, Parser)]
#[command(name = "leakhound", bin_name = "leakhound", version, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Say what happens inside; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch a program's allocations from outside and say what leaks
    Run(Run),
    /// Make a report from a recording, or from a log of memleak
    Report(Report),
    /// Compare two recordings: what grew, shrank, appeared, went
    Diff(Diff),
    /// Show what this kernel and these privileges allow, what is missing, and how to get it
    Doctor(Doctor),
    /// Investigate pods of a Kubernetes cluster that Leakhound is installed in; also as `kubectl leak`
    Cluster(Box<Cluster>),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Write the manual pages
    Man {
        /// Into which folder
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(override_usage = "\
    leakhound run [OPTIONS] --pid N
       leakhound run [OPTIONS] --container ID
       leakhound run [OPTIONS] -- COMMAND [ARGUMENT]...")]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// With --pid: the children of the process too, and theirs, also those that come later
    #[arg(long, requires = "pid", conflicts_with_all = ["container", "command"])]
    pub(crate) children: bool,
    /// What to watch
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Mode::Heap)]
    pub(crate) mode: Mode,
    /// How long to watch
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Time between snapshots [default: a twentieth of the duration, 1 s to 1 min]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) interval: Option<Duration>,
    /// Follow only allocations of at least this size, such as 4KiB
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = size)]
    pub(crate) min_size: u64,
    /// Write the life of every block, one line each, as compressed JSON Lines: `zstdcat FILE | jq` shows them
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Follow a sample of the allocations, one every so many bytes on average (such as 512KiB): the sums become estimates with
    /// an error, and cost far less; rounded up to a power of two. Heap and kernel mode can, growth mode follows every page
    #[arg(long, value_name = "SIZE", value_parser = period)]
    pub(crate) sample: Option<Period>,
    /// What watching may cost the program, as a share of one core (of each core, where kernel mode watches the whole machine); when it is more, fewer allocations are followed, and none
    /// at last (growth mode, which takes no sample, ends at once). `off` follows all of them whatever it takes
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = budget)]
    pub(crate) budget: BudgetChoice,
    /// Write a recording, for `leakhound report` and `leakhound diff`
    #[arg(long, value_name = "FILE")]
    pub(crate) recording: Option<PathBuf>,
    /// No progress and no table: only what was asked for by options, and errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Live blocks that can be followed at once; more are counted as lost
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1024..=64_000_000))]
    pub(crate) max_blocks: u32,
    /// How to attach, instead of the best way that works here
    #[arg(long, value_name = "WAY", value_enum)]
    pub(crate) attach: Option<Attach>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

fn process_number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_error| format!("a process is named by its number, which `pgrep {text}` finds"))
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct TargetArgs {
    /// A running process, with all its threads
    #[arg(long, value_name = "N", value_parser = process_number)]
    pub(crate) pid: Option<u32>,
    /// All processes of a container, by id or the first 12 characters of it
    #[arg(long, value_name = "ID")]
    pub(crate) container: Option<String>,
    /// A program to start and watch, with its children, from its first instruction
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    /// A recording, or a log of bcc's or libbpf-tools' memleak; - for standard input
    pub(crate) input: PathBuf,
    /// No table: only what was asked for by options, and errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The recording or log to compare with
    pub(crate) before: PathBuf,
    /// The recording or log to judge
    pub(crate) after: PathBuf,
    /// Write the differences as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Stacks to show
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to write, and where; `-` is standard output.
#[derive(Debug, Args)]
pub(crate) struct Outputs {
    /// Write the whole analysis as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a report that any browser opens, offline
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write folded stacks of live bytes, for flame-graph tools
    #[arg(long, value_name = "FILE")]
    pub(crate) folded: Option<PathBuf>,
    /// Write a profile for `go tool pprof`
    #[arg(long, value_name = "FILE")]
    pub(crate) pprof: Option<PathBuf>,
    /// Stacks to show in the table
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) top: usize,
    /// Show the allocator's own frames too
    #[arg(long)]
    pub(crate) all_frames: bool,
    /// End with exit status 3 when a stack is at least this bad, unless the run is inconclusive
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) fail_on: Option<FailOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// The verdict is that a leak is likely, or some stack is classed as one
    Leak,
    /// The same, or some stack is suspected
    Suspected,
}

impl FailOn {
    /// Whether a result is as bad as that, which `has` stacks of a class. What a run was too short or too lossy to tell fails
    /// nobody's pipeline.
    pub(crate) fn is_met(self, verdict: Option<Verdict>, has: impl Fn(Class) -> bool) -> bool {
        let leak = verdict == Some(Verdict::LeakLikely) || has(Class::Leak);
        let is_bad = match self {
            Self::Leak => leak,
            Self::Suspected => leak || has(Class::Suspected),
        };
        is_bad && verdict != Some(Verdict::Inconclusive)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Blocks that the program allocates and does not free
    Heap,
    /// Where the program's memory grows, whatever allocates it: Go, Java, stripped static programs
    Growth,
    /// What the kernel itself allocates while it works for the target, or without one for the whole machine
    Kernel,
}

impl From<Mode> for recording::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Heap => Self::Heap,
            Mode::Growth => Self::Growth,
            Mode::Kernel => Self::Kernel,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attach {
    /// One link for both ends of a call: kernel 6.13
    #[value(name = "uprobe.session")]
    Session,
    /// One link for entries, one for returns: kernel 6.6
    #[value(name = "uprobe_multi")]
    Multi,
    /// A perf event for every probe
    #[value(name = "perf-event")]
    PerfEvent,
}

impl From<Attach> for Rung {
    fn from(way: Attach) -> Self {
        match way {
            Attach::Session => Self::Session,
            Attach::Multi => Self::Multi,
            Attach::PerfEvent => Self::PerfEvent,
        }
    }
}

/// A time such as `90s`, `10m`, `1h30m` or `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time: write it like 90s, 10m, 1h30m or 500ms");
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u32 = rest[..digits].parse().map_err(|_error| wrong())?;
        let unit =
            rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |length| digits + length);
        let one = match &rest[digits..unit] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            _ => return Err(wrong()),
        };
        total = one.checked_mul(number).and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = &rest[unit..];
    }
    if total.is_zero() { Err(wrong()) } else { Ok(total) }
}

/// A period of sampling.
fn period(text: &str) -> Result<Period, String> {
    Period::at_least(size(text)?).map_err(|error| error.to_string())
}

/// A budget, or none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BudgetChoice(pub(crate) Option<Budget>);

/// A share of one core such as `5%`, or `off`. Nothing is nothing in any unit.
fn budget(text: &str) -> Result<BudgetChoice, String> {
    if text == "off" {
        return Ok(BudgetChoice(None));
    }
    let number = |text: &str| text.trim_end().parse::<f64>().ok();
    let percent =
        text.strip_suffix('%').and_then(number).or_else(|| number(text).filter(|share| *share == 0.0));
    let percent = percent.ok_or_else(|| format!("{text:?} is not a budget: write it like 5%, or off"))?;
    Budget::new(percent / 100.0).map(|budget| BudgetChoice(Some(budget))).map_err(|error| error.to_string())
}

/// A size such as `512`, `4KiB`, `1MiB`.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size: write it like 512, 4KiB or 1MiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_error| wrong())?;
    let unit = match &text[digits..] {
        "" | "B" => 1,
        "K" | "KiB" | "Ki" => 1 << 10,
        "M" | "MiB" | "Mi" => 1 << 20,
        "G" | "GiB" | "Gi" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read_and_nonsense_is_refused() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0s", "10", "s", "10 m", "-5s", "5d", "99999999999s", "1h-3m", "١s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn budgets_are_read_and_nonsense_is_refused() {
        let share = |text| budget(text).map(|choice| choice.0.map(Budget::share));
        assert_eq!(share("5%"), Ok(Some(0.05)));
        assert_eq!(share("0.5 %"), Ok(Some(0.005)));
        assert_eq!(share("off"), Ok(None));
        for wrong in ["", "5", "%", "0%", "-1%", "101%", "nan%", "inf%", "none"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
        for nothing in ["0%", "0", "0.0 %"] {
            let said = share(nothing).unwrap_err();
            assert!(said.contains("leaves no time") && said.contains("--mode growth"), "{nothing}: {said}");
        }
    }

    #[test]
    fn sizes_are_read_and_nonsense_is_refused() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("4KiB"), Ok(4096));
        for wrong in ["", "KiB", "4KB", "99999999999GiB", "-1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
