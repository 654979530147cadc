//! The lines of a log, of any encoding and any length, in bounded memory.

use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

/// Longest line in bytes that is read; names of C++ reach a few thousand.
const LONGEST_LINE: usize = 64 << 10;

/// Cuts the input into lines.
pub(super) struct Lines<R> {
    input: R,
    bytes: Vec<u8>,
}

/// One line.
pub(super) struct Text<'a> {
    /// Without line end and colours; what is not UTF-8 is replaced.
    pub(super) line: Cow<'a, str>,
    /// Longer than memleak ever writes: cut.
    pub(super) too_long: bool,
    /// Has its line end; only the last line of a log may lack it.
    pub(super) whole: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(input: R) -> Self {
        Self { input, bytes: Vec::new() }
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Text<'_>>> {
        self.bytes.clear();
        let mut limited = self.input.by_ref().take(LONGEST_LINE as u64);
        if limited.read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(None);
        }
        let mut whole = self.bytes.last() == Some(&b'\n');
        let too_long = !whole && self.bytes.len() == LONGEST_LINE;
        if too_long {
            self.input.skip_until(b'\n')?;
            whole = true;
        }
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let line = if bytes.contains(&0x1b) {
            let bytes = anstream::adapter::strip_bytes(bytes).into_vec();
            Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
        } else {
            String::from_utf8_lossy(bytes)
        };
        Ok(Some(Text { line, too_long, whole }))
    }
}
