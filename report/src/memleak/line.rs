//! What one line of a log says, by its form alone.

use crate::recording::{Mode, Source};

use super::{
    bcc, libbpf,
    place::{Frame, Place},
};

/// What one line says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line<'a> {
    /// Nothing.
    Blank,
    /// What memleak says of itself before its first snapshot.
    Banner(Banner<'a>),
    /// What memleak says of itself later.
    Note,
    /// `[08:15:42] Top 10 stacks with outstanding allocations:`
    Snapshot {
        /// Second of the day.
        second: u32,
        /// bcc: as many as may be shown. libbpf-tools: as many as are shown.
        top: u64,
    },
    /// `4096 bytes in 4 allocations from stack`
    Total {
        /// Bytes not freed.
        bytes: u64,
        /// Blocks not freed.
        count: u64,
    },
    /// `addr = 0x55786e98c760 size = 1024`, with `-a`.
    Block,
    /// One frame of a stack.
    Frame {
        /// The frame.
        frame: Frame<'a>,
        /// Which tool writes frames so.
        source: Source,
        /// Its symbols follow, one a line.
        several: bool,
    },
    /// One of several symbols of the frame before.
    Alias {
        /// Where the symbol starts.
        start: u64,
        /// The symbol.
        place: Place<'a>,
    },
    /// `stack information lost`: bcc could not find the frames any more.
    StackLost,
    /// libbpf-tools could not show so many stacks.
    NotShown(u64),
    /// Part of a line of memleak, torn by other output in between.
    Torn,
    /// Anything else: the program's own output.
    Unknown,
}

/// What memleak says of itself before its first snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Banner<'a> {
    pub(super) source: Option<Source>,
    pub(super) mode: Option<Mode>,
    pub(super) pid: Option<u32>,
    pub(super) command: Option<&'a str>,
}

/// Says what `line` is; it has no line end any more.
pub(super) fn classify(line: &str) -> Line<'_> {
    let text = line.trim();
    if text.is_empty() {
        return Line::Blank;
    }
    if let Some(snapshot) = snapshot(text) {
        return snapshot;
    }
    if let Some((bytes, count)) = total(text) {
        return Line::Total { bytes, count };
    }
    if let Some((frame, several)) = libbpf::frame(line) {
        return Line::Frame { frame, source: Source::MemleakLibbpf, several };
    }
    if let Some(frame) = bcc::frame(line) {
        return Line::Frame { frame, source: Source::MemleakBcc, several: false };
    }
    if is_block(text) {
        return Line::Block;
    }
    if let Some(banner) = banner(text) {
        return Line::Banner(banner);
    }
    if ["done", "signaled child process", "reaped child process"].contains(&text) {
        return Line::Note;
    }
    if text == "stack information lost" {
        return Line::StackLost;
    }
    if let Some(count) = not_shown(text) {
        return Line::NotShown(count);
    }
    if let Some((start, place)) = libbpf::alias(line) {
        return Line::Alias { start, place };
    }
    if let Some(frame) = bcc::bare_frame(line) {
        return Line::Frame { frame, source: Source::MemleakBcc, several: false };
    }
    if is_torn(text) { Line::Torn } else { Line::Unknown }
}

/// Output of the program without a newline may stand before it.
fn snapshot(text: &str) -> Option<Line<'static>> {
    let text = text.strip_suffix(" stacks with outstanding allocations:")?;
    let (text, top) = text.rsplit_once("] Top ")?;
    let (_, clock) = text.rsplit_once('[')?;
    let mut parts = clock.split(':').map(|part| part.parse::<u32>().ok().filter(|_| part.len() <= 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(Line::Snapshot { second: (hour * 60 + minute) * 60 + second, top: top.parse().ok()? })
}

fn total(text: &str) -> Option<(u64, u64)> {
    let text = text.strip_suffix(" allocations from stack")?;
    let (bytes, count) = text.split_once(" bytes in ")?;
    Some((bytes.parse().ok()?, count.parse().ok()?))
}

fn is_block(text: &str) -> bool {
    let parts = text.strip_prefix("addr = ").and_then(|text| text.split_once(" size = "));
    parts.is_some_and(|(address, size)| {
        let address = address.strip_prefix("0x").unwrap_or(address);
        u64::from_str_radix(address, 16).is_ok() && size.parse::<u64>().is_ok()
    })
}

fn banner(text: &str) -> Option<Banner<'_>> {
    let nothing = Banner::default();
    let libbpf = Banner { source: Some(Source::MemleakLibbpf), ..nothing };
    if let Some(text) =
        text.strip_prefix("Attaching to ").and_then(|text| text.strip_suffix(", Ctrl+C to quit."))
    {
        // Both tools: newer builds of libbpf-tools took the sentence over.
        if text == "kernel allocators" {
            return Some(Banner { mode: Some(Mode::Kernel), ..nothing });
        }
        let pid = text.strip_prefix("pid ")?.parse().ok()?;
        return Some(Banner { mode: Some(Mode::Heap), pid: Some(pid), ..nothing });
    }
    if let Some(text) = text.strip_prefix("Executing '") {
        let command = text.strip_suffix("' and tracing the resulting process.")?;
        return Some(Banner {
            source: Some(Source::MemleakBcc),
            mode: Some(Mode::Heap),
            command: Some(command),
            pid: None,
        });
    }
    if let Some(pid) = text.strip_prefix("child created with pid: ") {
        return Some(Banner { pid: Some(pid.parse().ok()?), ..libbpf });
    }
    match text {
        "tracing kernel: true" => return Some(Banner { mode: Some(Mode::Kernel), ..libbpf }),
        "tracing kernel: false" => return Some(Banner { mode: Some(Mode::Heap), ..libbpf }),
        "received go event. executing child command" => return Some(libbpf),
        _ => {}
    }
    let begins = ["using default object: ", "using page size: ", "Tracing outstanding memory allocs..."];
    begins.iter().any(|begin| text.starts_with(begin)).then_some(libbpf)
}

fn not_shown(text: &str) -> Option<u64> {
    let (count, rest) = text.strip_prefix("WARNING: ")?.split_once(' ')?;
    rest.starts_with("stack traces could not be displayed").then(|| count.parse().ok())?
}

/// Half a heading is no part of a stack: what belongs to it has more stacks than the heading before allows.
fn is_torn(text: &str) -> bool {
    text.contains("[<")
        || text.contains(" allocations from stack")
        || text.contains(" bytes in ")
        || text.strip_prefix("0x").is_some_and(|text| text.starts_with(|c: char| c.is_ascii_hexdigit()))
        || text.contains("+0x")
}
