//! Names of functions as a person reads them: libbpf-tools prints them mangled, bcc demangles C++ but not Rust.

use std::fmt::{self, Write};

use cpp_demangle::DemangleOptions;

/// Longest name that demangling may make, in bytes. A few mangled bytes can stand for megabytes.
const LONGEST: usize = 4096;

/// The name of a symbol, demangled where it was mangled; otherwise as it is.
pub(super) fn readable(name: &str) -> String {
    demangled(name).unwrap_or_else(|| name.to_owned())
}

fn demangled(name: &str) -> Option<String> {
    if let Ok(symbol) = rustc_demangle::try_demangle(name) {
        return bounded(|out| write!(out, "{symbol:#}"));
    }
    if name.starts_with("_Z") {
        let symbol = cpp_demangle::Symbol::new(name).ok()?;
        return bounded(|out| symbol.structured_demangle(out, &DemangleOptions::default()));
    }
    let mangled = as_legacy_rust(name)?;
    let symbol = rustc_demangle::try_demangle(&mangled).ok()?;
    bounded(|out| write!(out, "{symbol:#}"))
}

/// bcc runs Rust's legacy names through the demangler of C++, which leaves `app::grow$LT$u8$GT$::h0123456789abcdef`:
/// back to the symbol it came from.
fn as_legacy_rust(name: &str) -> Option<String> {
    let (_, hash) = name.rsplit_once("::h")?;
    if hash.len() != 16 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let parts = name.split("::").map(|part| format!("{}{part}", part.len()));
    Some(format!("_ZN{}E", parts.collect::<String>()))
}

fn bounded(write: impl FnOnce(&mut Bounded) -> fmt::Result) -> Option<String> {
    let mut out = Bounded(String::new());
    write(&mut out).ok()?;
    Some(out.0)
}

struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > LONGEST {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}
