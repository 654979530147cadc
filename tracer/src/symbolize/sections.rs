//! The sections of an ELF file that tell names and lines, within bounds.

use std::{fs::File, io};

use gimli::{EndianSlice, RunTimeEndian, SectionId};
use object::{
    CompressionFormat, Object, ObjectSection, elf::FileHeader64, endian::Endianness, read::elf::ElfFile,
};
use thiserror::Error;

use super::bytes::{Allowance, Bytes};
use crate::image::Data;

/// Largest section after decompression: what it claims is allocated at once.
const MOST_UNPACKED: u64 = 256 << 20;

/// Deepest nesting of scopes and inlined calls read. Compilers stay in the hundreds; reading takes stack for each level.
const DEEPEST: isize = 2000;

/// Why a file's debug information cannot be used.
#[derive(Debug, Error)]
pub(super) enum SectionError {
    /// Not an ELF file, or a damaged one.
    #[error("damaged ELF file")]
    Elf(#[from] object::Error),
    /// A section is not there to read.
    #[error("cannot read a section")]
    Read(#[from] io::Error),
    /// A compressed section that would fill the memory.
    #[error("section {section} would take {bytes} bytes unpacked")]
    TooLarge {
        /// Its name.
        section: String,
        /// What it says of itself.
        bytes: u64,
    },
    /// Debug information nested deeper than any compiler does.
    #[error("debug information nested deeper than {DEEPEST}")]
    TooDeep,
    /// Debug information that contradicts itself.
    #[error("damaged debug information")]
    Dwarf(#[from] gimli::Error),
}

/// How debug information is read.
pub(super) type Slice<'a> = EndianSlice<'a, RunTimeEndian>;

/// The sections of debug information, for as long as somebody reads them.
#[derive(Debug)]
pub(super) struct DwarfSections {
    own: gimli::DwarfSections<Bytes>,
    /// What the file shares with others.
    shared: Option<gimli::DwarfSections<Bytes>>,
    endian: RunTimeEndian,
}

/// An ELF file of which sections are taken.
pub(super) struct Sections<'a> {
    pub(super) elf: ElfFile<'a, FileHeader64<Endianness>, &'a Data<'a>>,
    file: &'a File,
}

impl<'a> Sections<'a> {
    /// Of a file, whose headers and symbols are read through `data`.
    pub(super) fn parse(file: &'a File, data: &'a Data<'a>) -> Result<Self, SectionError> {
        Ok(Self { elf: ElfFile::parse(data)?, file })
    }

    /// A section's content, unpacked; empty if there is none of that name.
    pub(super) fn read(&self, name: &str, allowance: &mut Allowance) -> Result<Bytes, SectionError> {
        match self.elf.section_by_name(name) {
            Some(section) => self.read_section(&section, allowance),
            None => Ok(Bytes::InMemory(Vec::new())),
        }
    }

    /// The same for a section at hand.
    pub(super) fn read_section<'s>(
        &self,
        section: &impl ObjectSection<'s>,
        allowance: &mut Allowance,
    ) -> Result<Bytes, SectionError> {
        let range = section.compressed_file_range()?;
        if range.format == CompressionFormat::None {
            // a section without content in this file, as in the separate debug file, has an empty range
            return Ok(Bytes::read(self.file, range.offset, range.compressed_size, allowance)?);
        }
        if range.uncompressed_size > MOST_UNPACKED {
            let section = section.name().unwrap_or("?").to_owned();
            return Err(SectionError::TooLarge { section, bytes: range.uncompressed_size });
        }
        // needed for a moment only
        let mut packed_allowance = Allowance::default();
        let packed = Bytes::read(self.file, range.offset, range.compressed_size, &mut packed_allowance)?;
        let data = object::CompressedData {
            format: range.format,
            data: &packed,
            uncompressed_size: range.uncompressed_size,
        };
        Ok(Bytes::InMemory(data.decompress()?.into_owned()))
    }

    /// The debug information, or `None` if there is none. `supplementary` holds what several debug files share.
    pub(super) fn dwarf(
        &self,
        supplementary: Option<&Sections<'_>>,
        allowance: &mut Allowance,
    ) -> Result<Option<DwarfSections>, SectionError> {
        if !has_debug_info(&self.elf) {
            return Ok(None);
        }
        let own = gimli::DwarfSections::load(|id| self.load(id, allowance))?;
        let shared = match supplementary {
            Some(other) => Some(gimli::DwarfSections::load(|id| other.load(id, allowance))?),
            None => None,
        };
        let endian = if self.elf.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        Ok(Some(DwarfSections { own, shared, endian }))
    }

    fn load(&self, id: SectionId, allowance: &mut Allowance) -> Result<Bytes, SectionError> {
        if NEEDED.contains(&id) { self.read(id.name(), allowance) } else { Ok(Bytes::InMemory(Vec::new())) }
    }
}

impl DwarfSections {
    /// The debug information, checked as far as the library relies on it.
    pub(super) fn parse(&self) -> Result<gimli::Dwarf<Slice<'_>>, SectionError> {
        let mut dwarf =
            self.own.borrow_with_sup(self.shared.as_ref(), |bytes| EndianSlice::new(bytes, self.endian));
        dwarf.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        check_nesting(&dwarf)?;
        Ok(dwarf)
    }
}

/// Whether a file has debug information itself, rather than in a file of its own.
pub(super) fn has_debug_info<'a>(elf: &impl Object<'a>) -> bool {
    elf.section_by_name(".debug_info")
        .and_then(|section| section.compressed_file_range().ok())
        .is_some_and(|range| range.uncompressed_size > 0)
}

/// The library recurses into nested entries, so that deep ones would overflow the stack. What is not readable here, it will
/// not read either.
fn check_nesting(dwarf: &gimli::Dwarf<Slice<'_>>) -> Result<(), SectionError> {
    let mut units = dwarf.units();
    while let Ok(Some(unit)) = units.next() {
        let Ok(abbreviations) = dwarf.abbreviations(&unit) else { continue };
        let Ok(mut entries) = unit.entries_raw(&abbreviations, None) else { continue };
        while !entries.is_empty() {
            if entries.next_depth() > DEEPEST {
                return Err(SectionError::TooDeep);
            }
            let skipped = entries.read_abbreviation().and_then(|abbreviation| {
                abbreviation.map_or(Ok(()), |abbreviation| entries.skip_attributes(abbreviation.attributes()))
            });
            if skipped.is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// What functions, lines and inlined calls are told from; the rest, mostly where variables lie, stays in the file.
const NEEDED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];
