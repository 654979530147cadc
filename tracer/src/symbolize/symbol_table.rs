//! The functions of a file by its symbol tables: all that a program without debug information tells.

use std::{
    cmp::Reverse,
    io::{self, Read},
};

use liblzma::{bufread::XzDecoder, stream::Stream};
use object::{
    Object, ObjectSection, ReadRef, SectionIndex,
    elf::{FileHeader64, SHN_LORESERVE, SHN_UNDEF, STB_LOCAL, STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE},
    endian::Endianness,
    read::elf::{ElfFile, Sym, SymbolTable as Table},
};

use super::{
    bytes::{Allowance, Bytes},
    sections::{SectionError, Sections},
};

/// Functions taken from one file; Chromium's own binary has under two million.
const MOST_FUNCTIONS: usize = 8_000_000;
/// How many functions that start later may lie inside one that covers an address.
const MOST_NESTED: usize = 16;

/// Longest name taken; C++ templates reach some ten thousand bytes.
const MOST_NAME: usize = 32 << 10;
/// Largest packed symbol table once unpacked, and most memory of the unpacking.
const MOST_MINI_DEBUG_INFO: u64 = 64 << 20;

type Sym64 = object::elf::Sym64<Endianness>;

/// Functions by address.
#[derive(Debug, Default)]
pub(super) struct SymbolTable {
    functions: Vec<Function>,
    strings: Vec<Bytes>,
}

#[derive(Debug, Clone, Copy)]
struct Function {
    address: u64,
    /// Zero in hand-written assembly: up to the next function.
    size: u32,
    /// Where its name starts.
    name: u32,
    /// In which of the strings.
    strings: u8,
    local: bool,
}

impl SymbolTable {
    /// Takes in the symbols of a file: the full table and the exported ones, and the table that distributions leave packed
    /// in stripped programs.
    pub(super) fn add(
        &mut self,
        sections: &Sections<'_>,
        allowance: &mut Allowance,
    ) -> Result<(), SectionError> {
        for table in [sections.elf.elf_symbol_table(), sections.elf.elf_dynamic_symbol_table()] {
            if let Some(strings) = strings_section(table) {
                let strings = sections.read_section(&sections.elf.section_by_index(strings)?, allowance)?;
                self.add_table(sections.elf.endian(), table.symbols(), strings);
            }
        }
        let packed = sections.read(".gnu_debugdata", allowance)?;
        if !packed.is_empty() {
            self.add_mini_debug_info(&packed)?;
        }
        Ok(())
    }

    /// Sorts what was taken in: to be called once, before [`Self::find`].
    pub(super) fn finish(&mut self) {
        let Self { functions, strings } = self;
        functions.sort_unstable_by(|a, b| {
            a.address.cmp(&b.address).then_with(|| preference(strings, a).cmp(&preference(strings, b)))
        });
        functions.shrink_to_fit();
    }

    /// The name of the function that covers an address, as the linker knows it.
    pub(super) fn find(&self, address: u64) -> Option<&str> {
        let after = self.functions.partition_point(|function| function.address <= address);
        let mut before = self.functions[..after].iter().rev();
        let nearest = before.next()?;
        let found = if nearest.covers(address) || nearest.size == 0 {
            Some(nearest)
        } else {
            before.take(MOST_NESTED).find(|function| function.covers(address))
        };
        std::str::from_utf8(name(&self.strings, found?)).ok().filter(|name| !name.is_empty())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    fn add_table(&mut self, endian: Endianness, symbols: &[Sym64], strings: Bytes) {
        let Ok(number) = u8::try_from(self.strings.len()) else { return };
        self.strings.push(strings);
        let room = MOST_FUNCTIONS.saturating_sub(self.functions.len());
        let functions = symbols.iter().filter(|symbol| is_code(symbol, endian)).map(|symbol| Function {
            address: symbol.st_value(endian),
            size: u32::try_from(symbol.st_size(endian)).unwrap_or(u32::MAX),
            name: symbol.st_name(endian),
            strings: number,
            local: symbol.st_bind() == STB_LOCAL,
        });
        self.functions.extend(functions.take(room));
    }

    /// `.gnu_debugdata`: an xz-compressed ELF file with nothing but a symbol table
    /// (<https://sourceware.org/gdb/current/onlinedocs/gdb.html/MiniDebugInfo.html>).
    fn add_mini_debug_info(&mut self, packed: &[u8]) -> Result<(), SectionError> {
        let decoder = Stream::new_stream_decoder(MOST_MINI_DEBUG_INFO, 0).map_err(io::Error::from)?;
        let mut elf = Vec::new();
        XzDecoder::new_stream(packed, decoder).take(MOST_MINI_DEBUG_INFO).read_to_end(&mut elf)?;
        let elf = ElfFile::<FileHeader64<Endianness>, _>::parse(&*elf)?;
        let table = elf.elf_symbol_table();
        if let Some(index) = strings_section(table) {
            let strings = elf.section_by_index(index)?.data()?.to_vec();
            self.add_table(elf.endian(), table.symbols(), Bytes::InMemory(strings));
        }
        Ok(())
    }
}

impl Function {
    fn covers(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|inside| inside < u64::from(self.size))
    }
}

fn strings_section<'a, R: ReadRef<'a>>(
    table: &Table<'a, FileHeader64<Endianness>, R>,
) -> Option<SectionIndex> {
    (!table.is_empty()).then(|| table.string_section())
}

/// Functions, and what assembly exports without a type.
fn is_code(symbol: &Sym64, endian: Endianness) -> bool {
    let (kind, section) = (symbol.st_type(), symbol.st_shndx(endian));
    let defined = section != SHN_UNDEF && section.0 < SHN_LORESERVE && symbol.st_value(endian) != 0;
    let untyped = kind == STT_NOTYPE && symbol.st_bind() != STB_LOCAL;
    defined && (kind == STT_FUNC || kind == STT_GNU_IFUNC || untyped)
}

/// Of aliases, the best is the greatest: exported, with the fewest underscores before it, short.
fn preference(strings: &[Bytes], function: &Function) -> impl Ord + use<> {
    let name = name(strings, function);
    let underscores = name.iter().take_while(|byte| **byte == b'_').count();
    (!function.local, Reverse((underscores, name.len())))
}

fn name<'a>(strings: &'a [Bytes], function: &Function) -> &'a [u8] {
    let from = strings[usize::from(function.strings)].get(function.name as usize..).unwrap_or(&[]);
    let from = &from[..from.len().min(MOST_NAME)];
    let end = from.iter().position(|byte| *byte == 0).unwrap_or(from.len());
    &from[..end]
}
