//! Tells a recording from a log by content: names of files lie, and `-` has none.

use crate::{
    memleak,
    recording::{describe_foreign, is_recording},
};

/// What an input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A recording, compressed or as plain JSON Lines: [`crate::recording::read`] reads it.
    Recording,
    /// A text log of memleak: [`crate::memleak::read_log`] reads it.
    MemleakLog,
    /// Neither, as far as its beginning tells: what it looks like, as a noun phrase. A program may print much before
    /// memleak does, so text may still be a log.
    Unknown(&'static str),
}

/// Says what the input is that begins with `start`. 64 KiB are enough; all of it if it is shorter.
pub fn sniff(start: &[u8]) -> Input {
    if start.is_empty() {
        return Input::Unknown("an empty file");
    }
    if is_recording(start) {
        return Input::Recording;
    }
    if memleak::is_log(start) { Input::MemleakLog } else { Input::Unknown(describe_foreign(start)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides() {
        let cases: &[(&[u8], Input)] = &[
            (b"", Input::Unknown("an empty file")),
            (b"\x28\xb5\x2f\xfd\x04", Input::Recording),
            (b"{\"kind\":\"header\"", Input::Recording),
            (b"[8:5:0] Top 3 stacks with outstanding allocations:", Input::MemleakLog),
            (b"hello\r\n\x1b[1mAttaching to pid 4711, Ctrl+C to quit.\x1b[0m\r\n", Input::MemleakLog),
            (b"\xff\xfe\ntracing kernel: true\n", Input::MemleakLog),
            (b"\x1f\x8b\x08", Input::Unknown("gzip-compressed data")),
            (b"<!DOCTYPE html>", Input::Unknown("an HTML page")),
            (include_bytes!("../assets/report.html"), Input::Unknown("the page that --html wrote")),
            (b"GET / 200\nGET / 200\n", Input::Unknown("text of another kind")),
            (b"we saw outstanding allocations\n", Input::Unknown("text of another kind")),
        ];
        for (start, input) in cases {
            assert_eq!(sniff(start), *input, "{}", start.escape_ascii());
        }
    }
}
