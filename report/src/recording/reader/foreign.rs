//! Says what a file is that is no recording: "not a recording" alone leaves a person guessing.

/// What the file that begins with `start` looks like, as a noun phrase.
pub(super) fn describe(start: &[u8]) -> &'static str {
    const MEMLEAK: &[u8] = b"outstanding allocations";
    let is_memleak = start.windows(MEMLEAK.len()).any(|part| part.eq_ignore_ascii_case(MEMLEAK));
    if is_memleak { "a text log of memleak" } else { describe_foreign(start) }
}

/// The same of a file that is no log of memleak either.
pub(crate) fn describe_foreign(start: &[u8]) -> &'static str {
    const MAGICS: &[(&[u8], &str)] = &[
        (b"\x7fELF", "an ELF binary"),
        (b"\x1f\x8b", "gzip-compressed data"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"BZh", "bzip2-compressed data"),
        (b"\xfd7zXZ", "xz-compressed data"),
        (b"PERFILE2", "a perf.data file"),
        (b"%PDF", "a PDF document"),
    ];
    if let Some((_, what)) = MAGICS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return what;
    }
    let text = start.trim_ascii_start();
    let has = |word: &str| start.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    if has("leakhound-analysis/") {
        "the JSON of an analysis"
    } else if has("leakhound-diff/") {
        "the JSON of a comparison"
    } else if has("leakhound-blocks/") {
        "the log of blocks that --events wrote"
    } else if has("<title>Leakhound report") {
        "the page that --html wrote"
    } else if has("<!doctype html") || has("<html") {
        "an HTML page"
    } else if text.starts_with(b"{") || text.starts_with(b"[") {
        "JSON of another kind"
    } else if start.contains(&0) || std::str::from_utf8(start).is_err_and(|error| error.error_len().is_some())
    {
        "binary data of another kind"
    } else {
        "text of another kind"
    }
}
