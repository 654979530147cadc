//! By what a stack is known again in another build.

use crate::{
    analysis::{Paths, visible},
    function_name::without_clones,
    recording::Frame,
};

/// Modules and functions of a stack, innermost first, without what changes from build to build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(Vec<(String, String)>);

impl Key {
    /// Without the allocator's own frames: how many of them are inlined is the compiler's choice. Without what called
    /// `main`: that is start-up code, and whether it has a name depends on the C library at hand.
    pub(super) fn of(frames: &[Frame], paths: &Paths<'_>) -> Self {
        let mut parts: Vec<_> = visible(frames, false).map(|frame| part(frame, paths)).collect();
        if let Some(main) = parts.iter().rposition(|(_, function)| function == "main") {
            parts.truncate(main + 1);
        }
        Self(parts)
    }
}

/// A function without a name is known by its module only.
fn part(frame: &Frame, paths: &Paths<'_>) -> (String, String) {
    let function = frame.function.as_deref().map(function).unwrap_or_default();
    (module(paths.module(frame)).to_owned(), function.to_owned())
}

/// File name without directory and version: `libssl` of `/usr/lib/libssl.so.3`, `libc` of `libc-2.31.so`. The kernel has
/// none: only some sources name it.
fn module(path: &str) -> &str {
    if path == "[kernel]" {
        return "";
    }
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let file = path.rsplit('/').next().unwrap_or(path);
    let Some((name, _)) = file.split_once(".so") else { return file };
    match name.rsplit_once('-') {
        Some((stem, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => stem,
        _ => name,
    }
}

/// Without what compilers append to a function or a copy of it: Rust's hash, `.isra.0`, and ` [clone .cold]` behind a
/// demangled name.
fn function(name: &str) -> &str {
    let name = name.split(" [clone ").next().unwrap_or(name);
    let name = without_clones(name);
    match name.rsplit_once("::h") {
        Some((begin, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => begin,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_copies_do_not_matter() {
        for (path, name) in [
            ("/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl"),
            ("/lib/libc-2.31.so", "libc"),
            ("/usr/lib/libc.so.6", "libc"),
            ("/opt/v2/server (deleted)", "server"),
            ("[kernel]", ""),
            ("[vdso]", "[vdso]"),
            ("", ""),
        ] {
            assert_eq!(module(path), name);
        }
        for (symbol, name) in [
            ("app::grow::h0123456789abcdef", "app::grow"),
            ("app::grow::h0123456789abcdef.llvm.123", "app::grow"),
            ("app::grow::happy", "app::grow::happy"),
            ("main.(*Cache).coldPath", "main.(*Cache).coldPath"),
            ("text.part.Foo", "text.part.Foo"),
            ("__slab_alloc.isra.0", "__slab_alloc"),
            ("grow.part.0.cold", "grow"),
            ("grow(int) [clone .cold]", "grow(int)"),
            ("operator.", "operator."),
        ] {
            assert_eq!(function(symbol), name);
        }
    }
}
