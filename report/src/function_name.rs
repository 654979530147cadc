//! Names of functions: as the linker has them, and as the source does.

use std::fmt::{self, Write};

use cpp_demangle::DemangleOptions;

/// Longest name shown in bytes. A hostile one of a few hundred can unfold into gigabytes.
const MOST: usize = 4096;

/// Whether a name says more than a C identifier can.
pub fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

/// The name as the source has it: without hashes, compiler-made suffixes and return types.
pub fn readable(name: &str) -> String {
    let name = without_version(name);
    let name = without_clones(name);
    let mut text = Bounded(String::new());
    let written = if let Ok(rust) = rustc_demangle::try_demangle(name) {
        write!(text, "{rust:#}")
    } else if let Some(cxx) = name.strip_prefix("_Z").and_then(|_| cpp_demangle::Symbol::new(name).ok()) {
        cxx.structured_demangle(&mut text, &DemangleOptions::new().no_return_type())
    } else {
        text.write_str(outline(name).as_deref().unwrap_or(name))
    };
    if written.is_err() {
        text.0.push('…');
    }
    text.0.replace(STRING, "std::string")
}

/// The name without what compilers append to parts and copies of a function, such as `.cold`, `.part.0` or
/// `.constprop.0.isra.1`: for a person all of them are that function. In `main.coldStart` and `text.part.Foo` of a Go program
/// nothing is appended.
pub(crate) fn without_clones(name: &str) -> &str {
    std::iter::successors(Some(name), |name| without_clone(name)).last().unwrap_or(name)
}

/// The name without the last of these; `None` when it has none.
fn without_clone(name: &str) -> Option<&str> {
    /// Parts that were put elsewhere; a number may follow.
    const PARTS: [&str; 2] = [".cold", ".localalias"];
    /// Copies that were made for one caller; a number always follows.
    const COPIES: [&str; 5] = [".constprop", ".isra", ".llvm", ".lto_priv", ".part"];
    let ends_in =
        |name: &str, with: &[&str]| with.iter().find_map(|end| name.strip_suffix(end)).map(str::len);
    let numbered = name.rsplit_once('.').filter(|(_, digits)| is_number(digits)).map(|(begin, _)| begin);
    let length = ends_in(numbered.unwrap_or(name), &PARTS)
        .or_else(|| numbered.and_then(|begin| ends_in(begin, &COPIES)))
        .filter(|length| *length > 0)?;
    name.get(..length)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What `std::string` is an alias of in libstdc++.
const STRING: &str = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";

/// The plain names in a C++ name that the library cannot read: `std::make_shared<…>` of GCC 12 is one.
fn outline(name: &str) -> Option<String> {
    let rest = name.strip_prefix("_Z")?;
    let rest = rest.strip_prefix('N').unwrap_or(rest).trim_start_matches(['r', 'V', 'K']);
    let (mut text, mut rest) = match rest.strip_prefix("St") {
        Some(rest) => ("std".to_owned(), rest),
        None => (String::new(), rest),
    };
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(length) = rest[..digits].parse::<usize>() else { break };
        let Some(part) = rest[digits..].get(..length) else { break };
        text.push_str(if text.is_empty() { "" } else { "::" });
        text.push_str(part);
        rest = &rest[digits + length..];
    }
    text.push_str(if rest.starts_with('I') { "<…>" } else { "" });
    (!text.is_empty() && text != "std" && !text.starts_with('<')).then_some(text)
}

/// Some symbol tables name a version too: `memcpy@@GLIBC_2.14`.
fn without_version(name: &str) -> &str {
    match name.find('@') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// Text that stops growing.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST {
            let room = text.floor_char_boundary(MOST - self.0.len());
            self.0.push_str(&text[..room]);
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// The qualified name in a demangled symbol: without the return type that C++ templates carry, and for a Rust
/// `<Type as Trait>::method` from the type on.
pub(crate) fn qualified(symbol: &str) -> &str {
    let mut depth = 0_u32;
    let mut start = 0;
    for (at, byte) in symbol.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' if byte != b'(' || depth > 0 => depth += 1,
            b'(' => break, // the arguments
            b'>' | b')' | b']' => depth = depth.saturating_sub(1),
            b' ' if depth == 0 && !symbol[..at].ends_with("operator") => start = at + 1,
            _ => {}
        }
    }
    // A Rust type may be borrowed, mutable or a trait object.
    let mut name = symbol.get(start..).unwrap_or(symbol);
    while let Some(rest) = ["<", "&", "mut ", "dyn "].iter().find_map(|prefix| name.strip_prefix(prefix)) {
        name = rest;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_in_the_source() {
        for (mangled, expected) in [
            ("main", "main"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("fill.constprop.0.isra.0", "fill"),
            ("fill.lto_priv.3.cold.1", "fill"),
            ("fill.localalias", "fill"),
            ("main.main", "main.main"),
            ("main.coldStart", "main.coldStart"),
            ("main.(*Cache).coldPath", "main.(*Cache).coldPath"),
            ("main.(*Cache).cold.func1", "main.(*Cache).cold.func1"),
            ("text.part.Foo", "text.part.Foo"),
            ("text.part.0foo", "text.part.0foo"),
            (".cold", ".cold"),
            ("_ZN4shop4fillEi", "shop::fill(int)"),
            ("_ZN4shop4fillEi.cold", "shop::fill(int)"),
            ("_ZN10rust_leaks4main17he841047685385c50E", "rust_leaks::main"),
            ("_ZN10rust_leaks4main17he841047685385c50E.llvm.123", "rust_leaks::main"),
            ("_RNvCs4X4t9plMPHF_9addr2line4main", "addr2line::main"),
            (
                "_ZSt11make_uniqueIA_cENSt8__detail9_MakeUniqIT_E7__arrayEm",
                "std::make_unique<char []>(unsigned long)",
            ),
            ("_Z3addNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", "add(std::string)"),
            ("_Znwm", "operator new(unsigned long)"),
            (
                "_ZSt11make_sharedI4ItemJRiEESt10shared_ptrINSt9enable_ifIXntsrSt8is_arrayIT_E5valueES5_E4typeEEDpOT0_",
                "std::make_shared<…>",
            ),
            ("_ZN4shop99999999999999999999fillE", "shop"),
            ("_ZN4shop9héE", "shop"),
            ("_Zgarbage", "_Zgarbage"),
            ("", ""),
        ] {
            assert_eq!(readable(mangled), expected, "{mangled}");
        }
    }

    #[test]
    fn a_name_that_unfolds_without_end_is_cut() {
        // each parameter is a pair of the one before: 2^60 words from some 300 bytes
        let mut bomb = String::from("_Z1fSt4pairIiiE");
        let digits: Vec<char> = ('0'..='9').chain('A'..='Z').collect();
        for number in 0..60_usize {
            let last = match number.checked_sub(1) {
                None => "S0_".to_owned(),
                Some(past) if past < 35 => format!("S{}_", digits[past + 1]),
                Some(past) => format!("S1{}_", digits[past - 35]),
            };
            let _ = write!(bomb, "S_I{last}{last}E");
        }
        let text = readable(&bomb);
        assert!(text.len() <= MOST + '…'.len_utf8(), "{}", text.len());
        assert!(text.starts_with("f(std::pair<int, int>") && text.ends_with('…'), "{text}");
        assert!(readable(&"x".repeat(100_000)).len() <= MOST + '…'.len_utf8());
    }
}
