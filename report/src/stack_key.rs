//! By what a stack is known again: in another replica, another run, or another build of the program.

use sha2::{Digest as _, Sha256};

use crate::function_name::without_clones;

/// Modules and functions of a stack, innermost first, without what changes from build to build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StackKey(Vec<(String, String)>);

impl StackKey {
    /// Of calls as module and function, innermost first. Without what called `main`: that is start-up code, and whether it
    /// has a name depends on the C library at hand.
    pub fn of<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut parts: Vec<_> = calls
            .into_iter()
            .map(|(path, name)| (module(path).to_owned(), function(name).to_owned()))
            .collect();
        if let Some(main) = parts.iter().rposition(|(_, function)| function == "main") {
            parts.truncate(main + 1);
        }
        Self(parts)
    }

    /// The key in 16 hex digits.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        for (module, function) in &self.0 {
            for part in [module, function] {
                hash.update(part);
                hash.update([0]);
            }
        }
        format!("{:.16x}", hash.finalize())
    }
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
