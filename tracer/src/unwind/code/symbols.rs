//! The functions that a file names, as far as the search for musl needs them.

use std::collections::HashSet;

use object::{
    LittleEndian, ReadRef,
    elf::{self, FileHeader64},
    read::elf::{Rela, SectionHeader, SectionTable, Sym},
};

/// Largest symbol table read, in bytes. musl names 1,700 functions; a static program with it may have 100,000 symbols.
const MAX_TABLE: u64 = 16 << 20;
/// Functions that begin a program or end it, by which musl is known.
const START: &[u8] = b"__libc_start_main";
/// Functions that do not return: what follows a call to them is another function.
const NEVER_RETURN: &[&[u8]] = &[
    b"exit",
    b"_exit",
    b"_Exit",
    b"quick_exit",
    b"abort",
    b"pthread_exit",
    b"__pthread_exit",
    b"thrd_exit",
    b"longjmp",
    b"siglongjmp",
    b"_longjmp",
    b"__assert_fail",
    b"__stack_chk_fail",
    b"err",
    b"errx",
    b"verr",
    b"verrx",
];

/// Functions by address.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    pub(super) functions: Vec<u64>,
    pub(super) never_return: HashSet<u64>,
    /// The function that calls `main`.
    pub(super) start: Option<u64>,
}

impl Symbols {
    /// Reads both symbol tables. Damage means fewer functions: names are a help, not a need.
    pub(super) fn read<'a, R: ReadRef<'a>>(
        table: &SectionTable<'a, FileHeader64<LittleEndian>, R>,
        data: R,
    ) -> Self {
        let endian = LittleEndian;
        let mut found = Self::default();
        let fits = |section: &elf::SectionHeader64<LittleEndian>| section.sh_size(endian) <= MAX_TABLE;
        for kind in [elf::SHT_DYNSYM, elf::SHT_SYMTAB] {
            let section = table.iter().find(|section| section.sh_type(endian) == kind);
            let Some(symbols) =
                section.filter(|section| fits(section)).and_then(|_| table.symbols(endian, data, kind).ok())
            else {
                continue;
            };
            for symbol in symbols.iter() {
                if symbol.st_type() != elf::STT_FUNC || symbol.is_undefined(endian) {
                    continue;
                }
                let address = symbol.st_value(endian);
                found.functions.push(address);
                match symbols.symbol_name(endian, symbol) {
                    Ok(START) => found.start = Some(address),
                    Ok(name) if NEVER_RETURN.contains(&name) => {
                        found.never_return.insert(address);
                    }
                    _ => {}
                }
            }
        }
        // functions that only a table of pointers names
        for section in table.iter().filter(|section| fits(section)) {
            if let Ok(Some((relocations, _))) = section.rela(endian, data) {
                let relative =
                    relocations.iter().filter(|r| r.r_type(endian, false) == elf::R_X86_64_RELATIVE);
                found.functions.extend(relative.map(|r| r.r_addend(endian).cast_unsigned()));
            }
        }
        found
    }
}
