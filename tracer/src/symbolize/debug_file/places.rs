//! Where debug files lie.

use std::path::{Component, Path, PathBuf};

/// A place to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Named by the program's debug link, not by its build id.
    pub(super) by_link: bool,
    pub(super) path: PathBuf,
}

/// Where the debug file of a program in `directory` may be, in order.
pub(super) fn of_debug_file(
    build_id: Option<&str>,
    link: Option<&str>,
    directory: &Path,
    debug: &Path,
) -> Vec<Candidate> {
    let by_id = build_id.and_then(|id| by_build_id(id, debug)).map(|path| Candidate { by_link: false, path });
    let by_link = link.into_iter().flat_map(|name| {
        let below = directory.strip_prefix("/").unwrap_or(directory);
        [directory.join(name), directory.join(".debug").join(name), debug.join(below).join(name)]
            .map(|path| Candidate { by_link: true, path })
    });
    by_id.into_iter().chain(by_link).collect()
}

/// Where a debug file's supplementary file may be: at the path it names, which is meant from its real place, or where
/// distributions put such files.
pub(super) fn of_supplementary(build_id: &str, path: &Path, beside: &Path, debug: &Path) -> Vec<PathBuf> {
    let shared = path.components().skip_while(|part| part.as_os_str() != ".dwz");
    let shared: PathBuf = debug.join(shared.collect::<PathBuf>());
    let named = beside.parent().unwrap_or_else(|| Path::new("/")).join(path);
    [Some(named), Some(shared), by_build_id(build_id, debug)]
        .into_iter()
        .flatten()
        .map(|path| without_steps(&path))
        .filter(|path| path.starts_with(debug) && path != debug)
        .collect()
}

fn by_build_id(id: &str, debug: &Path) -> Option<PathBuf> {
    let (first, rest) = id.split_at_checked(2).filter(|(_, rest)| !rest.is_empty())?;
    Some(debug.join(".build-id").join(first).join(format!("{rest}.debug")))
}

/// A link is a file name; one with folders in it comes from no linker.
pub(super) fn file_name(name: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(name).ok()?;
    let plain = !name.is_empty() && name.len() < 256 && !name.contains(['/', '\0']);
    (plain && name != "." && name != "..").then_some(name)
}

/// The path without `.` and `..` steps; a step out of the root or of a relative path stays.
pub(in crate::symbolize) fn without_steps(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(parts.components().next_back(), Some(Component::Normal(_))) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_places_are_tried_in_order() {
        let found = of_debug_file(
            Some("abcdef"),
            Some("app.debug"),
            Path::new("/usr/bin"),
            Path::new("/usr/lib/debug"),
        );
        let paths: Vec<&str> = found.iter().filter_map(|one| one.path.to_str()).collect();
        assert_eq!(
            paths,
            [
                "/usr/lib/debug/.build-id/ab/cdef.debug",
                "/usr/bin/app.debug",
                "/usr/bin/.debug/app.debug",
                "/usr/lib/debug/usr/bin/app.debug"
            ]
        );
        assert_eq!(found.iter().map(|one| one.by_link).collect::<Vec<_>>(), [false, true, true, true]);
        assert!(of_debug_file(None, None, Path::new("/"), Path::new("/d")).is_empty());
        assert!(of_debug_file(Some("ab"), None, Path::new("/"), Path::new("/d")).is_empty());
    }

    #[test]
    fn a_link_out_of_its_folder_is_refused() {
        for hostile in
            [&b"../../etc/shadow"[..], b"/etc/shadow", b"", b".", b"..", b"a\0b", b"\xff", &[b'a'; 300]]
        {
            assert_eq!(file_name(hostile), None);
        }
        assert_eq!(file_name(b"app.debug"), Some("app.debug"));
    }

    #[test]
    fn supplementary_files_are_looked_for_among_debug_files_only() {
        let debug = Path::new("/usr/lib/debug");
        let of =
            |path: &str, beside: &str| of_supplementary("abcdef", Path::new(path), Path::new(beside), debug);
        let by_id = PathBuf::from("/usr/lib/debug/.build-id/ab/cdef.debug");
        // Fedora's, meant from the file's real place, reached through the folder of build ids
        assert_eq!(
            of("../../../.dwz/app-1", "/usr/lib/debug/.build-id/12/34.debug"),
            [PathBuf::from("/usr/lib/debug/.dwz/app-1"), by_id.clone()]
        );
        // Debian's
        let absolute = PathBuf::from("/usr/lib/debug/.dwz/x86_64-linux-gnu/app.debug");
        assert_eq!(
            of("/usr/lib/debug/.dwz/x86_64-linux-gnu/app.debug", "/usr/lib/debug/.build-id/12/34.debug"),
            [absolute.clone(), absolute, by_id.clone()]
        );
        for hostile in ["../../../../../etc/shadow", "/etc/shadow", "", ".dwz/../../../../etc/shadow"] {
            assert_eq!(of(hostile, "/usr/lib/debug/.build-id/12/34.debug").last(), Some(&by_id), "{hostile}");
            assert!(of(hostile, "/x").iter().all(|path| path.starts_with(debug)), "{hostile}");
        }
    }
}
