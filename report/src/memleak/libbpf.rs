//! Frames as libbpf-tools' `memleak` prints them (libbpf-tools/memleak.c, `print_stack_frames_by_*`):
//! `\t0 [<000055e46b45e1fc>] _Z5parsePc+0x1d [/srv/app/server]`, ` file:line` for the module in builds with blazesym.

use super::place::{self, Frame, Place};

/// A frame, and how many symbols cover its address when they follow on lines of their own.
pub(super) fn frame(line: &str) -> Option<(Frame<'_>, bool)> {
    let (index, text) = line.trim_start().split_once(" [<")?;
    let (address, place) = text.split_once(">]")?;
    let index = Some(index.parse().ok()?);
    let address = Some(u64::from_str_radix(address, 16).ok()?);
    let place = place.trim();
    let several = place.strip_prefix('(').and_then(|text| text.strip_suffix(" entries)"));
    if several.is_some_and(|count| count.parse::<u32>().is_ok()) {
        return Some((Frame { address, index, place: Place::default() }, true));
    }
    Some((Frame { address, index, place: place::parse(place)? }, false))
}

/// One of several symbols that cover the address of the frame before: `\t\tname@0x1234 file:line`. With it, where the
/// symbol starts.
pub(super) fn alias(line: &str) -> Option<(u64, Place<'_>)> {
    let text = line.strip_prefix("\t\t").or_else(|| line.strip_prefix("        "))?.trim();
    let (function, behind) = text.rsplit_once("@0x")?;
    let (start, source) = behind.split_once(' ').unwrap_or((behind, ""));
    let start = u64::from_str_radix(start, 16).ok()?;
    let (file, line) = place::file_and_line(source).unzip();
    (!function.is_empty() && (source.is_empty() || file.is_some()))
        .then_some((start, Place { function: Some(function), module: None, file, line, text }))
}
