//! Where a frame is, as both tools write it behind the address: `parse(char*)+0x1d [/srv/app/server]`.

/// The module of kernel functions, as bcc prints it.
pub(super) const KERNEL: &str = "[kernel]";

/// What a log says about one frame. What it does not say is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Frame<'a> {
    /// Raw address; bcc leaves it out with `--combined-only`.
    pub(super) address: Option<u64>,
    /// Position in the stack, innermost 0; only libbpf-tools prints it.
    pub(super) index: Option<u32>,
    pub(super) place: Place<'a>,
}

/// The part behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place<'a> {
    /// As printed: demangled by bcc, mangled by libbpf-tools.
    pub(super) function: Option<&'a str>,
    /// Base name in bcc, path in libbpf-tools.
    pub(super) module: Option<&'a str>,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    /// All of it: the same text is the same place.
    pub(super) text: &'a str,
}

/// Reads a place; absent when the text is none.
pub(super) fn parse(text: &str) -> Option<Place<'_>> {
    let text = text.trim();
    if text.is_empty() || text == "<null sym>" || text == "[unknown]" {
        return (!text.is_empty()).then_some(Place { text, ..Place::default() });
    }
    if let Some(name) = text.strip_prefix("[unknown] ").and_then(bracketed) {
        return Some(Place { module: module(name), text, ..Place::default() });
    }
    if let Some(place) = with_offset(text) {
        return Some(place);
    }
    if let Some(function) = text.strip_suffix(" [kernel]") {
        // bcc before 2017 printed kernel functions without offsets
        return is_name(function).then_some(Place {
            function: Some(function),
            module: Some(KERNEL),
            text,
            ..Place::default()
        });
    }
    bracketed(text).map(|name| Place { module: module(name), text, ..Place::default() })
}

/// `name+0x1d`, `name+0x1d [module]` or `name+0x1d file:line`. Names may hold spaces, brackets and plus signs, so the
/// last offset with a proper end counts.
fn with_offset(text: &str) -> Option<Place<'_>> {
    text.rmatch_indices("+0x").find_map(|(at, sign)| {
        let (function, behind) = (&text[..at], &text[at + sign.len()..]);
        let end = behind.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(behind.len());
        let (digits, end) = behind.split_at(end);
        if digits.is_empty() || digits.len() > 16 || !is_name(function) {
            return None;
        }
        let place = Place { function: Some(function), text, ..Place::default() };
        match end.strip_prefix(' ') {
            None if end.is_empty() => Some(place),
            None => None,
            Some(end) => match (bracketed(end), file_and_line(end)) {
                (Some(name), _) => Some(Place { module: module(name), ..place }),
                (None, Some((file, line))) => Some(Place { file: Some(file), line: Some(line), ..place }),
                (None, None) => None,
            },
        }
    })
}

/// `path:line`, as builds with blazesym print it.
pub(super) fn file_and_line(text: &str) -> Option<(&str, u32)> {
    let (file, line) = text.rsplit_once(':')?;
    (!file.is_empty()).then_some((file, line.parse().ok()?))
}

/// What stands within `[...]`.
fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']').filter(|inner| !inner.is_empty())
}

/// The module that is called so; none where the tool knew none.
fn module(name: &str) -> Option<&str> {
    match name {
        "unknown" => None,
        "kernel" => Some(KERNEL),
        name => Some(name),
    }
}

/// A name of no function begins with a digit or a space.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| !c.is_ascii_digit() && !c.is_whitespace())
}
