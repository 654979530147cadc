//! Writes small ELF files with the unwind information a test asks for.

use std::ops::Range;

use gimli::constants as dw;

pub(super) const CFA_RSP_8: &[u8] = &[dw::DW_CFA_def_cfa.0, 7, 8, dw::DW_CFA_offset.0 | 16, 1];
/// Where `.eh_frame` would be loaded.
const EH_FRAME_ADDRESS: u64 = 0x7000_0000_0000;

/// An unwind section being written. Pointers are absolute, as no augmentation says otherwise.
pub(super) struct Frames {
    pub(super) bytes: Vec<u8>,
    debug: bool,
}

impl Frames {
    pub(super) fn eh_frame() -> Self {
        Self { bytes: Vec::new(), debug: false }
    }

    pub(super) fn debug_frame() -> Self {
        Self { bytes: Vec::new(), debug: true }
    }

    /// A common entry, its offset returned: code alignment 1, data alignment -8, return address in column 16.
    pub(super) fn cie(&mut self, augmentation: &str, program: &[u8]) -> usize {
        let id: u32 = if self.debug { u32::MAX } else { 0 };
        let mut body = id.to_le_bytes().to_vec();
        body.push(1);
        body.extend(augmentation.as_bytes());
        body.extend([0, 1, 0x78, 16]);
        body.extend(program);
        self.entry(&body)
    }

    /// A function's entry.
    pub(super) fn fde(&mut self, cie: usize, start: u64, length: u64, program: &[u8]) {
        let pointer = if self.debug { cie } else { self.bytes.len() + 4 - cie };
        let mut body = (pointer as u32).to_le_bytes().to_vec();
        body.extend(start.to_le_bytes());
        body.extend(length.to_le_bytes());
        body.extend(program);
        self.entry(&body);
    }

    fn entry(&mut self, body: &[u8]) -> usize {
        let offset = self.bytes.len();
        self.bytes.extend((body.len() as u32).to_le_bytes());
        self.bytes.extend(body);
        offset
    }

    /// A terminator, and then what must not be read any more.
    pub(super) fn terminate(mut self) -> Self {
        self.bytes.extend([0; 4]);
        self.bytes.extend([0x55; 64]);
        self
    }
}

/// A file with one executable segment, not contained in it, and unwind sections.
pub(super) struct Elf {
    pub(super) code: Range<u64>,
    pub(super) eh_frame: Vec<u8>,
    pub(super) debug_frame: Vec<u8>,
    /// Whether section headers say where the sections are; the `PT_GNU_EH_FRAME` segment always does.
    pub(super) sections: bool,
}

impl Elf {
    pub(super) fn new(code: Range<u64>, eh_frame: Frames) -> Self {
        Self { code, eh_frame: eh_frame.bytes, debug_frame: Vec::new(), sections: true }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        const HEADERS: u64 = 64 + 3 * 56;
        let names = b"\0.eh_frame\0.debug_frame\0.shstrtab\0";
        // .eh_frame_hdr: version, encodings (absolute pointer, nothing else), address of .eh_frame
        let mut index = vec![1, dw::DW_EH_PE_absptr.0, dw::DW_EH_PE_omit.0, dw::DW_EH_PE_omit.0];
        index.extend((EH_FRAME_ADDRESS + 16).to_le_bytes());
        index.extend([0; 4]);
        let eh_frame_offset = HEADERS + index.len() as u64;
        let debug_offset = eh_frame_offset + self.eh_frame.len() as u64;
        let names_offset = debug_offset + self.debug_frame.len() as u64;
        let section_headers = (names_offset + names.len() as u64).next_multiple_of(8);

        let mut out = Vec::new();
        out.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        out.extend([3_u16, 62].iter().flat_map(|n| n.to_le_bytes())); // shared object, x86-64
        out.extend(1_u32.to_le_bytes());
        let section_offset = if self.sections { section_headers } else { 0 };
        out.extend([0, 64, section_offset].iter().flat_map(|n: &u64| n.to_le_bytes()));
        out.extend(0_u32.to_le_bytes());
        let count = if self.sections { 4 } else { 0 };
        out.extend([64, 56, 3, 64, count, 3].iter().flat_map(|n: &u16| n.to_le_bytes()));

        let loaded = index.len() as u64 + self.eh_frame.len() as u64;
        program_header(&mut out, 1, 5, 0, self.code.start, 0, self.code.end - self.code.start);
        program_header(&mut out, 1, 4, HEADERS, EH_FRAME_ADDRESS, loaded, loaded);
        program_header(&mut out, 0x6474_e550, 4, HEADERS, EH_FRAME_ADDRESS, index.len() as u64, 0);
        out.extend(index);
        out.extend(&self.eh_frame);
        out.extend(&self.debug_frame);
        out.extend(names);
        out.resize(section_headers as usize, 0);
        if self.sections {
            section_header(&mut out, 0, 0, 0, 0, 0);
            section_header(
                &mut out,
                1,
                1,
                EH_FRAME_ADDRESS + 16,
                eh_frame_offset,
                self.eh_frame.len() as u64,
            );
            section_header(&mut out, 11, 1, 0, debug_offset, self.debug_frame.len() as u64);
            section_header(&mut out, 24, 3, 0, names_offset, names.len() as u64);
        }
        out
    }
}

fn program_header(
    out: &mut Vec<u8>,
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    size: u64,
    memory: u64,
) {
    out.extend([kind, flags].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([offset, address, address, size, memory, 4096].iter().flat_map(|n| n.to_le_bytes()));
}

fn section_header(out: &mut Vec<u8>, name: u32, kind: u32, address: u64, offset: u64, size: u64) {
    out.extend([name, kind].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([0, address, offset, size].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([0_u32; 2].iter().flat_map(|n| n.to_le_bytes()));
    out.extend([1_u64, 0].iter().flat_map(|n| n.to_le_bytes()));
}
