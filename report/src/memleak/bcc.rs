//! Frames as bcc's `memleak.py` prints them (tools/memleak.py, `print_outstanding` and `print_outstanding_combined`):
//! `\t\t0x000055e46b45e1fc\tparse(char*)+0x1d [server]`, and with `--combined-only` the same without the address.

use super::place::{self, Frame};

/// A frame with its address.
pub(super) fn frame(line: &str) -> Option<Frame<'_>> {
    let text = line.trim_start().strip_prefix("0x")?;
    let end = text.find(char::is_whitespace)?;
    let (digits, place) = text.split_at(end);
    // 16 digits since 2023; a shorter number is the rest of a line that was torn apart
    if digits.len() != 16 {
        return None;
    }
    let address = u64::from_str_radix(digits, 16).ok()?;
    Some(Frame { address: Some(address), index: None, place: place::parse(place)? })
}

/// A frame without an address. A program's own output can look like one, so it must name an offset or a module, and be
/// indented or name both.
pub(super) fn bare_frame(line: &str) -> Option<Frame<'_>> {
    let indented = line.starts_with([' ', '\t']);
    let place = place::parse(line)?;
    let known = match (place.function, place.module) {
        (Some(_), Some(_)) => true,
        (Some(_), None) => indented && place.file.is_none(),
        (None, _) => indented && place.text.starts_with("[unknown]"),
    };
    known.then_some(Frame { address: None, index: None, place })
}
