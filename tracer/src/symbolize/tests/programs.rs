//! Programs made for a test.

use std::{
    ffi::OsStr,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
};

use object::{Object, ObjectSymbol};

/// `leak` allocates in line 6.
pub(super) const LEAKY: &str = "#include <stdlib.h>\n\n__attribute__((noinline))\nvoid *leak(int n)\n{\n\treturn malloc(n);\n}\nint main(void) { return leak(3) == 0; }\n";

/// `take` allocates in line 6, inlined into `fill` in line 10.
pub(super) const INLINED: &str = "#include <cstdlib>\nnamespace shop {\nstruct Cart { void *item; };\nstatic inline __attribute__((always_inline)) void *take(int n)\n{\n\treturn malloc(n);\n}\n__attribute__((noinline)) Cart *fill(int n)\n{\n\treturn (Cart *)take(n);\n}\n}\nint main() { return shop::fill(3) == nullptr; }\n";

/// A folder for sources and programs, gone after the test.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compiles a source into a program of the same name without its ending.
    pub(super) fn compile(&self, compiler: &str, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        std::fs::write(self.path(name), source).unwrap();
        let program = self.path(name.split('.').next().unwrap());
        let status = Command::new(compiler)
            .args(flags)
            .arg("-o")
            .arg(&program)
            .arg(self.path(name))
            .current_dir(self.0.path())
            .status();
        assert!(status.unwrap().success(), "{compiler} {name} {flags:?}");
        program
    }

    pub(super) fn run(&self, program: &str, arguments: &[&OsStr]) {
        let status = Command::new(program).args(arguments).current_dir(self.0.path()).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }
}

/// An address in a function, as if a call there returned one byte later.
pub(super) fn address(program: &Path, function: &str) -> u64 {
    range(program, function).start + 1
}

/// Where a function lies, found by a part of its linker name.
pub(super) fn range(program: &Path, function: &str) -> Range<u64> {
    let bytes = std::fs::read(program).unwrap();
    let elf = object::File::parse(&*bytes).unwrap();
    let symbol = elf.symbols().find(|symbol| {
        symbol.size() > 0
            && symbol
                .name()
                .is_ok_and(|name| name == function || name.contains(function) && name.starts_with('_'))
    });
    let symbol = symbol.unwrap_or_else(|| panic!("no {function}"));
    symbol.address()..symbol.address() + symbol.size()
}
