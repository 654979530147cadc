//! Finds the unwind information of an ELF file, and where its code lies. The file is hostile: every size is checked before use.

use std::{borrow::Cow, ops::Range};

use gimli::{BaseAddresses, EhFrameHdr};
use object::{
    CompressedFileRange, CompressionFormat, FileKind, LittleEndian, ReadRef, elf,
    read::elf::{CompressionHeader, FileHeader, ProgramHeader, SectionHeader, SectionTable},
};

use super::UnwindError;

/// Most bytes read of one section; the largest real ones (browsers, LLVM) are below 32 MiB.
const MAX_SECTION: u64 = 128 << 20;
/// Program headers looked at; linkers write about 12.
const MAX_SEGMENTS: usize = 1024;

/// Version, encodings, the address of .eh_frame and a count: what precedes the search table of `.eh_frame_hdr`, in bytes.
const INDEX_HEAD: u64 = 32;

type Header = elf::FileHeader64<LittleEndian>;
pub(super) type Segment = elf::ProgramHeader64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// What unwinding needs of a file.
pub(super) struct Sections<'a, R: ReadRef<'a>> {
    pub(super) segments: &'a [Segment],
    /// `None` when they are damaged; a stripped file may also have none.
    pub(super) table: Option<SectionTable<'a, Header, R>>,
    /// Virtual addresses of executable segments, sorted.
    pub(super) code: Vec<Range<u64>>,
    /// Start of .text, a base of encoded pointers.
    pub(super) text: u64,
    /// Start of .got, likewise.
    pub(super) got: u64,
    /// Empty when there is none.
    pub(super) eh_frame: Section<'a>,
    /// Empty when there is none. musl's own functions have only this, and only when it was not stripped.
    pub(super) debug_frame: Section<'a>,
}

/// Bytes and the virtual address they are meant for.
#[derive(Default)]
pub(super) struct Section<'a> {
    pub(super) address: u64,
    pub(super) bytes: Cow<'a, [u8]>,
}

pub(super) fn find<'a, R: ReadRef<'a>>(data: R) -> Result<Sections<'a, R>, UnwindError> {
    match FileKind::parse(data)? {
        FileKind::Elf64 => {}
        other => return Err(UnwindError::Machine(format!("{other:?}"))),
    }
    let header = Header::parse(data)?;
    let machine = header.e_machine(ENDIAN);
    if machine != elf::EM_X86_64 || !header.is_little_endian() {
        return Err(UnwindError::Machine(format!("machine {}", machine.0)));
    }
    let segments = header.program_headers(ENDIAN, data)?;
    let segments = &segments[..segments.len().min(MAX_SEGMENTS)];

    let mut found = Sections {
        segments,
        table: header.sections(ENDIAN, data).ok(),
        code: code(segments),
        text: 0,
        got: 0,
        eh_frame: Section::default(),
        debug_frame: Section::default(),
    };
    if let Some(table) = &found.table {
        let address = |name| table.section_by_name(ENDIAN, name).map_or(0, |(_, s)| s.sh_addr(ENDIAN));
        found.text = address(b".text");
        found.got = address(b".got");
        found.eh_frame = by_name(table, data, ".eh_frame")?;
        found.debug_frame = by_name(table, data, ".debug_frame")?;
    }
    if found.eh_frame.bytes.is_empty()
        && let Some(index) =
            segments.iter().find(|s| s.p_type(ENDIAN) == elf::PT_GNU_EH_FRAME && s.p_filesz(ENDIAN) > 0)
    {
        found.eh_frame = by_index(segments, index, data)?;
    }
    Ok(found)
}

fn code(segments: &[Segment]) -> Vec<Range<u64>> {
    let mut code: Vec<_> = segments
        .iter()
        .filter(|segment| is_code(segment))
        .map(|s| s.p_vaddr(ENDIAN)..s.p_vaddr(ENDIAN).saturating_add(s.p_memsz(ENDIAN)))
        .collect();
    code.sort_by_key(|range| range.start);
    code
}

pub(super) fn is_code(segment: &Segment) -> bool {
    segment.p_type(ENDIAN) == elf::PT_LOAD && segment.p_flags(ENDIAN).contains(elf::PF_X)
}

fn by_name<'a, R: ReadRef<'a>>(
    table: &SectionTable<'a, Header, R>,
    data: R,
    name: &'static str,
) -> Result<Section<'a>, UnwindError> {
    let Some((_, section)) = table.section_by_name(ENDIAN, name.as_bytes()) else {
        return Ok(Section::default());
    };
    let range = match section.compression(ENDIAN, data)? {
        None => CompressedFileRange::none(section.file_range(ENDIAN)),
        Some((header, offset, compressed_size)) => CompressedFileRange {
            format: match header.ch_type(ENDIAN) {
                elf::ELFCOMPRESS_ZLIB => CompressionFormat::Zlib,
                elf::ELFCOMPRESS_ZSTD => CompressionFormat::Zstandard,
                _ => CompressionFormat::Unknown,
            },
            offset,
            compressed_size,
            uncompressed_size: header.ch_size(ENDIAN),
        },
    };
    let size = range.uncompressed_size.max(range.compressed_size);
    if size > MAX_SECTION {
        return Err(UnwindError::SectionTooLarge { name, size, limit: MAX_SECTION });
    }
    Ok(Section { address: section.sh_addr(ENDIAN), bytes: range.data(data)?.decompress()? })
}

/// Without section headers, `.eh_frame` is found as the C++ runtime finds it: through the `PT_GNU_EH_FRAME` segment.
/// Only its start is known; it ends with an entry of length 0, at the latest with the segment that is loaded.
fn by_index<'a, R: ReadRef<'a>>(
    segments: &[Segment],
    index: &Segment,
    data: R,
) -> Result<Section<'a>, UnwindError> {
    let size = index.p_filesz(ENDIAN).min(INDEX_HEAD);
    let head = data.read_bytes_at(index.p_offset(ENDIAN), size).unwrap_or_default();
    let bases = BaseAddresses::default().set_eh_frame_hdr(index.p_vaddr(ENDIAN));
    let head = EhFrameHdr::new(head, gimli::LittleEndian).parse(&bases, 8);
    let address = head.and_then(|head| head.eh_frame_ptr().direct()).map_err(UnwindError::Index)?;
    let loaded = segments.iter().filter(|s| s.p_type(ENDIAN) == elf::PT_LOAD).find_map(|s| {
        let skip = address.checked_sub(s.p_vaddr(ENDIAN))?;
        let size = s.p_filesz(ENDIAN).checked_sub(skip)?;
        Some((s.p_offset(ENDIAN).checked_add(skip)?, size.min(MAX_SECTION)))
    });
    let Some((offset, size)) = loaded else { return Err(UnwindError::Missing) };
    let bytes = data.read_bytes_at(offset, size).map_err(|()| UnwindError::Cut { offset, size })?;
    Ok(Section { address, bytes: bytes.into() })
}
