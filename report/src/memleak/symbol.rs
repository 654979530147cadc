//! Names of functions as a person reads them: libbpf-tools prints them mangled, bcc demangles C++ but not Rust.

use crate::function_name;

/// The name of a symbol, demangled where it was mangled; otherwise as it is.
pub(super) fn readable(name: &str) -> String {
    function_name::readable(as_legacy_rust(name).as_deref().unwrap_or(name))
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
