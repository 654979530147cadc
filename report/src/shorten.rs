//! Names of functions and files that are longer than anybody reads.

use std::borrow::Cow;

/// Names longer than this many bytes are cut in the middle: no reader wants more, and a hostile one could be megabytes.
const LONGEST: usize = 4096;

/// `name`, with its middle left out and counted when it is longer than 4096 bytes.
pub fn shorten(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST {
        return Cow::Borrowed(name);
    }
    let half = LONGEST / 2;
    let head = name.floor_char_boundary(half);
    let tail = name.ceil_char_boundary(name.len() - half);
    Cow::Owned(format!("{} [{} bytes left out] {}", &name[..head], tail - head, &name[tail..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn megabytes_of_symbol_are_cut_in_the_middle_at_whole_characters() {
        let name = "é".repeat(1 << 20);
        let short = shorten(&name);
        assert!(short.len() < LONGEST + 100, "{}", short.len());
        assert!(short.contains("bytes left out"));
        assert_eq!(shorten("short"), "short");
    }
}
