//! The answer on a terminal: verdict first, then the stacks, then what could not be seen.

use std::fmt::Write as _;

use leakhound_report::{
    amount,
    analysis::{Analysis, Block, Class, Finding, VerdictName},
    recording::Mode,
};

use crate::{columns::columns, human, stack::stack_lines};

/// Oldest blocks shown of a stack that may be a leak; the reports have more.
const BLOCKS: usize = 2;

/// The whole answer, for `top` stacks and a terminal this wide.
pub(crate) fn answer(analysis: &Analysis, top: usize, width: u16) -> String {
    let mut text = verdict(analysis);
    let shown: Vec<&Finding> =
        analysis.findings.iter().filter(|finding| finding.live_bytes > 0).take(top).collect();
    if !shown.is_empty() {
        let _ = write!(text, "\n{}", findings(&shown, analysis.mode, width));
    }
    text.push_str(&left_out(analysis, shown.len()));
    text.push_str(&more_blocks(&shown));
    text.push_str(&totals(analysis));
    text
}

fn verdict(analysis: &Analysis) -> String {
    let verdict = &analysis.verdict;
    let mut text = title(verdict.name, verdict.confidence_percent) + "\n";
    for reason in &verdict.reasons {
        let _ = writeln!(text, "  - {}", visible(reason));
    }
    if let Some(seconds) = verdict.seconds_to_limit {
        let _ = writeln!(
            text,
            "  - At this rate the memory limit is reached in {}{}.",
            human::seconds(seconds),
            range(verdict.seconds_to_limit_interval)
        );
    }
    text
}

/// A verdict in words, with how sure it is.
pub(crate) fn title(verdict: VerdictName, confidence_percent: impl std::fmt::Display) -> String {
    let name = match verdict {
        VerdictName::LeakLikely => "Leak likely",
        VerdictName::GrowthUnexplained => "Growth without an explanation",
        VerdictName::AllocatorRetention => "No leak: the allocator keeps freed memory",
        VerdictName::OffHeapGrowth => "Growth outside the watched allocators",
        VerdictName::NoLeakObserved => "No leak observed",
        VerdictName::Inconclusive => "Inconclusive",
    };
    match verdict {
        VerdictName::Inconclusive => name.to_owned(),
        _ => format!("{name} ({confidence_percent} % sure)"),
    }
}

/// How early and how late, where that makes a difference to a person.
fn range(interval: Option<(f64, Option<f64>)>) -> String {
    let Some((early, late)) = interval else { return String::new() };
    let (from, to) = (human::seconds(early), late.map(human::seconds));
    match to {
        Some(to) if to == from => String::new(),
        Some(to) => format!(" ({from} to {to})"),
        None => format!(" ({from} at the earliest)"),
    }
}

fn findings(findings: &[&Finding], mode: Mode, width: u16) -> String {
    let rows = findings.iter().map(|finding| {
        [
            finding.rank.to_string(),
            estimate(finding.live_bytes, finding.live_error_bytes),
            human::count(finding.live_count),
            growth(finding),
            class(finding),
            stack(finding),
        ]
    });
    let unit = if mode == Mode::Growth { "PAGES" } else { "BLOCKS" };
    columns(["#", "LIVE", unit, "GROWTH", "CLASS", "WHERE"], 4, rows, width)
}

/// Bytes, with the standard error of what a sample can only estimate.
pub(crate) fn estimate(bytes: u64, error: Option<u64>) -> String {
    match error {
        Some(error) => format!("{} \u{b1}{}", human::bytes(bytes), human::bytes(error)),
        None => human::bytes(bytes),
    }
}

/// What slope is left once live bytes have come to rest is noise, and no growth.
fn growth(finding: &Finding) -> String {
    match finding.class {
        Class::Plateau | Class::Sawtooth | Class::Transient => "-".into(),
        _ => human::bytes_per_hour(finding.growth_bytes_per_hour),
    }
}

fn class(finding: &Finding) -> String {
    let name = match finding.class {
        Class::Leak => "leak",
        Class::Suspected => "suspected",
        Class::Saturating => "saturating",
        Class::Plateau => "plateau",
        Class::Sawtooth => "sawtooth",
        Class::Step => "step",
        Class::Transient => "transient",
        Class::Inconclusive => "unclear",
    };
    name.into()
}

fn stack(finding: &Finding) -> String {
    let mut lines = stack_lines(&finding.frames);
    if let Some(why) = &finding.cut_short {
        lines.push(format!("(the walk ended here: {})", visible(why)));
    }
    if shows_blocks(finding) {
        lines.extend(finding.blocks.iter().take(BLOCKS).map(oldest));
    }
    lines.join("\n  ")
}

/// Blocks of what does not leak help nobody.
fn shows_blocks(finding: &Finding) -> bool {
    finding.class.is_alarm()
}

/// A block that one can look at with a debugger.
fn oldest(block: &Block) -> String {
    let thread = if block.tid == block.pid { String::new() } else { format!(", thread {}", block.tid) };
    format!(
        "oldest: {}  {}, {} old, process {}{thread}",
        visible(&block.address),
        human::bytes(block.size_bytes),
        human::seconds(block.age_seconds),
        block.pid
    )
}

fn left_out(analysis: &Analysis, shown: usize) -> String {
    let live = analysis.findings.iter().filter(|finding| finding.live_bytes > 0).count();
    match live - shown {
        0 => String::new(),
        more => format!(
            "{} with live memory: see --top, --json or --html.\n",
            amount::counted(more, "more stack", "more stacks")
        ),
    }
}

fn more_blocks(shown: &[&Finding]) -> String {
    let is_cut = |finding: &&&Finding| shows_blocks(finding) && finding.blocks.len() > BLOCKS;
    match shown.iter().find(is_cut) {
        Some(_) => {
            "More of the oldest blocks are in --json and --html; --events FILE has every block.\n".to_owned()
        }
        None => String::new(),
    }
}

/// What is missing in the log of `--events`, which the numbers here have.
fn missing_in_log(analysis: &Analysis) -> String {
    match analysis.ledger.get("streamLost").copied().unwrap_or(0) {
        0 => String::new(),
        lost => format!(
            "{} missing in the log of --events: freed faster than they could be written. The numbers here have them.\n",
            amount::counted(lost, "block is", "blocks are")
        ),
    }
}

fn totals(analysis: &Analysis) -> String {
    let totals = &analysis.totals;
    let overhead = &analysis.overhead;
    let mut text = format!(
        "\n{} live in {} {}; {} allocated and {} freed in {} over {}.\n",
        estimate(totals.live_bytes, totals.live_error_bytes),
        human::count(totals.live_count),
        match (analysis.mode == Mode::Growth, totals.live_count) {
            (true, 1) => "page",
            (true, _) => "pages",
            (false, 1) => "block",
            (false, _) => "blocks",
        },
        human::count(totals.allocated_count),
        human::count(totals.freed_count),
        human::seconds(analysis.duration_seconds),
        amount::counted(analysis.snapshot_count, "snapshot", "snapshots"),
    );
    if overhead.events > 0 {
        let _ = write!(
            text,
            "{} events, {} a second",
            human::count(overhead.events),
            human::count(whole(overhead.events_per_second)),
        );
        if overhead.probe_nanoseconds > 0.0 {
            let share = overhead.probe_nanoseconds * overhead.events_per_second / 1e7;
            let _ = write!(
                text,
                ", about {:.1} us each: {share:.1} % of one core",
                overhead.probe_nanoseconds / 1e3
            );
        }
        if analysis.mode == Mode::Heap {
            let (on, off) = (overhead.attach_seconds * 1e3, overhead.detach_seconds * 1e3);
            let _ = write!(text, "; probes on in {on:.0} ms, off in {off:.0} ms");
        }
        text.push_str(".\n");
    }
    let cpu: Vec<String> =
        [("before", overhead.cpu_before), ("during", overhead.cpu_during), ("after", overhead.cpu_after)]
            .into_iter()
            .filter_map(|(when, cores)| Some(format!("{:.2} {when}", cores?)))
            .collect();
    if cpu.len() > 1 {
        let _ = writeln!(text, "Cores that the program kept busy: {}.", cpu.join(", "));
    }
    text.push_str(&missing_in_log(analysis));
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and counts are positive"
)]
fn whole(count: f64) -> u64 {
    count.max(0.0).round() as u64
}

/// Names come from a hostile place: control characters could rewrite the terminal, and bidirectional ones a line.
pub(crate) fn visible(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let deceives = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || deceives {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;

    use leakhound_report::{
        Options, analyze,
        recording::{FORMAT, Header, Record, Recording, Snapshot, Stack, StackCounters},
    };

    use super::*;

    #[test]
    fn blocks_missing_in_the_log_are_said() {
        let answer_with = |lost: u64| {
            let header = Header { format: FORMAT.into(), ..Header::default() };
            let ledger = BTreeMap::from([("streamLost".to_owned(), lost)]);
            let snapshot = Snapshot { time_ns: 1, ledger, ..Snapshot::default() };
            let records = vec![Record::Header(header), Record::Snapshot(snapshot)];
            let recording = Recording::from_records(records).unwrap();
            answer(&analyze(&recording, &Options::default()), 10, 120)
        };
        assert!(answer_with(1).contains("\n1 block is missing in the log of --events"));
        assert!(answer_with(1200).contains("\n1,200 blocks are missing in the log of --events"));
        assert!(!answer_with(0).contains("--events"));
    }

    #[test]
    fn more_blocks_are_promised_only_where_some_are_shown() {
        let block = Block { address: "0x1".into(), size_bytes: 1, age_seconds: 1.0, pid: 1, tid: 1 };
        let found = |class, blocks: usize| {
            let header = Header { format: FORMAT.into(), ..Header::default() };
            let stack = Stack { id: 1, ..Stack::default() };
            let live = StackCounters { id: 1, live_bytes: 5, allocated_bytes: 5, ..StackCounters::default() };
            let snapshot = Snapshot { time_ns: 1, stacks: vec![live], ..Snapshot::default() };
            let records = vec![Record::Header(header), Record::Stack(stack), Record::Snapshot(snapshot)];
            let mut analysis = analyze(&Recording::from_records(records).unwrap(), &Options::default());
            analysis.findings[0].class = class;
            analysis.findings[0].blocks = vec![block.clone(); blocks];
            let text = answer(&analysis, 10, 120);
            (text.matches("oldest: 0x1").count(), text.contains("More of the oldest blocks"))
        };
        assert_eq!(found(Class::Leak, 3), (2, true));
        assert_eq!(found(Class::Suspected, 2), (2, false));
        assert_eq!(found(Class::Plateau, 3), (0, false));
        assert_eq!(found(Class::Inconclusive, 3), (0, false));
    }

    #[test]
    fn a_block_has_all_that_a_debugger_asks_for() {
        let block = |tid| Block {
            address: "0x5581c2a012c0".into(),
            size_bytes: 200,
            age_seconds: 58.2,
            pid: 811,
            tid,
        };
        assert_eq!(oldest(&block(811)), "oldest: 0x5581c2a012c0  200 B, 58 s old, process 811");
        assert_eq!(oldest(&block(815)), "oldest: 0x5581c2a012c0  200 B, 58 s old, process 811, thread 815");
    }

    #[test]
    fn hostile_names_cannot_reach_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(visible("naïve::<Größe>"), "naïve::<Größe>");
    }
}
