//! The answer on a terminal: verdict first, then the stacks, then what could not be seen.

use std::fmt::Write as _;

use leakhound_report::{
    amount,
    analysis::{Analysis, Class, Finding, Frame, VerdictName},
    recording::Mode,
};

use crate::{columns::columns, human};

/// Most frames shown under a stack's first; the reports have them all.
const FRAMES: usize = 12;

/// The whole answer, for `top` stacks and a terminal this wide.
pub(crate) fn answer(analysis: &Analysis, top: usize, width: u16) -> String {
    let mut text = verdict(analysis);
    let shown: Vec<&Finding> =
        analysis.findings.iter().filter(|finding| finding.live_bytes > 0).take(top).collect();
    if !shown.is_empty() {
        let _ = write!(text, "\n{}", findings(&shown, analysis.mode, width));
    }
    text.push_str(&left_out(analysis, shown.len()));
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
fn estimate(bytes: u64, error: Option<u64>) -> String {
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
    lines.join("\n  ")
}

/// A stack, a line a frame, with what surrounds every program folded.
pub(crate) fn stack_lines(frames: &[Frame]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut folded = 0;
    for (index, frame) in frames.iter().enumerate() {
        // the first is the title, whatever it is
        if index > 0 && is_runtime(frame, folded > 0) {
            folded += 1;
            continue;
        }
        fold(&mut lines, &mut folded);
        lines.push(line(frame));
        if lines.len() > FRAMES {
            lines.push(format!("... {} more", frames.len() - index - 1));
            break;
        }
    }
    fold(&mut lines, &mut folded);
    if lines.is_empty() {
        lines.push("(no frames)".into());
    }
    lines
}

fn fold(lines: &mut Vec<String>, folded: &mut usize) {
    match std::mem::take(folded) {
        0 => {}
        1 => lines.push("... 1 frame of the runtime".into()),
        count => lines.push(format!("... {count} frames of the runtime")),
    }
}

/// What surrounds every program of a language and tells nothing about this one: start-up, panics, iterator plumbing, and the
/// way into the kernel. `calls_runtime` says that the frame that it calls was such a one.
fn is_runtime(frame: &Frame, calls_runtime: bool) -> bool {
    const START_UP: [&str; 9] = [
        "_start",
        "__libc_start_main",
        "__libc_start_main_impl",
        "__libc_start_call_main",
        "start_thread",
        "clone3",
        "__clone3",
        "clone",
        "__clone",
    ];
    const LIBC: [&str; 4] = ["libc.so.", "libc.musl-", "ld-linux", "ld-musl-"];
    const INTO_THE_KERNEL: [&str; 4] =
        ["do_syscall_64", "entry_SYSCALL_64_after_hwframe", "exc_page_fault", "asm_exc_page_fault"];
    if frame.module == "[kernel]" {
        return INTO_THE_KERNEL.contains(&frame.function.as_str());
    }
    let rust = |file: &str| file.starts_with("/rustc/") || file.contains("/rustlib/src/rust/library/");
    START_UP.contains(&frame.function.as_str())
        || frame.file.as_deref().is_some_and(rust)
        || frame.function.starts_with("std::rt::")
        || LIBC.iter().any(|name| file_name(&frame.module).starts_with(name))
        // what Rust's compiler writes, and not a program's own
        || calls_runtime && frame.function == "main" && frame.file.is_none()
}

fn line(frame: &Frame) -> String {
    let function = shorten(&visible(&frame.function));
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("  {}:{line}", visible(short_path(file))),
        (Some(file), None) => format!("  {}", visible(short_path(file))),
        // `module+0xoffset` stands for a name already
        _ if frame.module.is_empty() || frame.function.contains("+0x") => String::new(),
        // a kernel stack is the kernel's, and its modules are in brackets as they are
        _ if frame.module == "[kernel]" => String::new(),
        _ if frame.module.starts_with('[') => format!("  {}", visible(&frame.module)),
        _ => format!("  [{}]", visible(file_name(&frame.module))),
    };
    let inlined = if frame.inlined { " (inlined)" } else { "" };
    format!("{function}{place}{inlined}")
}

/// A name without the arguments of its templates or generics, and not longer than a line: `Cache<..>::insert`.
fn shorten(name: &str) -> String {
    const LONGEST: usize = 72;
    let mut short = String::with_capacity(name.len());
    let mut depth = 0_usize;
    let mut before = ' ';
    for c in name.chars() {
        match c {
            // `operator<`, and Rust's `<T as Trait>::f`, begin nothing that can be left out
            '<' if !short.is_empty() && !short.ends_with("operator") && depth == 0 && before != ' ' => {
                short.push_str("<..>");
                depth = 1;
            }
            '<' if depth > 0 => depth += 1,
            '>' if depth > 0 && before != '-' => depth -= 1,
            c if depth == 0 => short.push(c),
            _ => {}
        }
        before = c;
    }
    match short.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &short[..end]),
        None => short,
    }
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
        let _ = writeln!(
            text,
            "; probes on in {:.0} ms, off in {:.0} ms.",
            overhead.attach_seconds * 1e3,
            overhead.detach_seconds * 1e3
        );
    }
    let cpu: Vec<String> =
        [("before", overhead.cpu_before), ("during", overhead.cpu_during), ("after", overhead.cpu_after)]
            .into_iter()
            .filter_map(|(when, cores)| Some(format!("{:.2} {when}", cores?)))
            .collect();
    if cpu.len() > 1 {
        let _ = writeln!(text, "Cores that the program kept busy: {}.", cpu.join(", "));
    }
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

/// The last two parts of a path: enough to know a source file.
fn short_path(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/');
    match (slashes.next(), slashes.next()) {
        (Some(_), Some((second, _))) => &path[second + 1..],
        _ => path,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_cannot_reach_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(visible("naïve::<Größe>"), "naïve::<Größe>");
    }

    #[test]
    fn names_lose_what_templates_add() {
        assert_eq!(
            shorten("std::vector<int, std::allocator<int> >::push_back(int)"),
            "std::vector<..>::push_back(int)"
        );
        assert_eq!(shorten("operator<(a, b)"), "operator<(a, b)");
        assert_eq!(shorten("<shop::Cart as core::ops::Drop>::drop"), "<shop::Cart as core::ops::Drop>::drop");
        assert_eq!(shorten("f<fn(i32) -> i32>(x)"), "f<..>(x)");
        assert_eq!(shorten(&"x".repeat(100)).len(), 75);
    }

    #[test]
    fn the_runtime_is_folded_but_never_the_first_frame() {
        let frame = |function: &str, file: Option<&str>| Frame {
            function: function.into(),
            file: file.map(Into::into),
            line: file.map(|_| 7),
            ..Frame::default()
        };
        assert!(is_runtime(&frame("__libc_start_call_main", None), false));
        assert!(is_runtime(
            &frame("call_once<..>", Some("/rustc/abc/library/core/src/ops/function.rs")),
            false
        ));
        assert!(!is_runtime(&frame("main", Some("src/main.rs")), true));
        assert!(!is_runtime(&frame("restart_thread", None), true));
        assert!(is_runtime(&frame("main", None), true), "the one that calls std::rt::lang_start");
        assert!(!is_runtime(&frame("main", None), false), "that of a program without debug information");
        let libc = Frame { module: "/lib/libc.so.6".into(), ..frame("libc.so.6+0x2724a", None) };
        assert!(is_runtime(&libc, false));
        assert!(!is_runtime(&Frame { module: "/lib/libcurl.so.4".into(), ..libc }, false));
        let in_kernel = |function: &str| Frame { module: "[kernel]".into(), ..frame(function, None) };
        assert!(is_runtime(&in_kernel("do_syscall_64"), false));
        assert!(!is_runtime(&in_kernel("pipe_write"), false));
    }

    #[test]
    fn paths_are_cut_to_what_names_a_file() {
        assert_eq!(short_path("/usr/src/app/main.c"), "app/main.c");
        assert_eq!(short_path("main.c"), "main.c");
        assert_eq!(short_path("src/main.c"), "src/main.c");
    }
}
