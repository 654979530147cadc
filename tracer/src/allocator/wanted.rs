//! Which of a program's allocators to probe.

use std::fmt;

use super::{AllocatorSites, table::PREFIXED};

/// Which of a program's allocators to probe. Every one by default: a program may use several, and a probe where nothing is
/// called costs nothing. Less is for who knows better: an allocator under names of its own, or one of two that call each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// By its kind.
    pub which: Which,
    /// Only in files of this name, such as `libjemalloc.so.2`; `None`: in every mapped file.
    pub library: Option<String>,
}

/// Allocators of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Which {
    /// Every one that is found.
    #[default]
    Every,
    /// Those of one family, by its name in [`AllocatorSites::family`].
    Family(&'static str),
    /// One whose functions are named like C's with this before them: `pool_` for `pool_malloc` and `pool_free`.
    Prefixed(String),
}

impl Wanted {
    /// What stands before the names of C's functions, when that is what was asked for.
    pub fn prefix(&self) -> Option<&str> {
        match &self.which {
            Which::Prefixed(prefix) => Some(prefix),
            Which::Every | Which::Family(_) => None,
        }
    }

    /// Whether an allocator found in a file is to be probed.
    pub fn takes(&self, path: &str, found: &AllocatorSites) -> bool {
        let named = self.library.as_ref().is_none_or(|library| path.rsplit('/').next() == Some(library));
        named
            && match self.which {
                Which::Every => true,
                Which::Family(family) => found.family == family,
                Which::Prefixed(_) => found.family == PREFIXED,
            }
    }

    /// Anything will do.
    pub fn is_every(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Every => write!(to, "known allocator")?,
            Which::Family(family) => write!(to, "{family}")?,
            Which::Prefixed(prefix) => write!(to, "functions named {prefix}malloc, {prefix}free and alike")?,
        }
        match &self.library {
            Some(library) => write!(to, " in a file named {library}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(family: &'static str) -> AllocatorSites {
        AllocatorSites { family, functions: vec![], sites: vec![] }
    }

    #[test]
    fn kind_and_file_both_must_be_right() {
        let wanted =
            Wanted { which: Which::Family("jemalloc"), library: Some("libjemalloc.so.2".to_owned()) };
        assert!(wanted.takes("/usr/lib/libjemalloc.so.2", &found("jemalloc")));
        assert!(!wanted.takes("/usr/lib/libjemalloc.so.2.bak", &found("jemalloc")));
        assert!(!wanted.takes("/usr/lib/libjemalloc.so.2", &found("glibc")));
        assert!(!wanted.takes("/app/server", &found("jemalloc")));
        assert!(Wanted::default().takes("/app/server", &found("unknown")));
        assert_eq!(wanted.to_string(), "jemalloc in a file named libjemalloc.so.2");
    }
}
