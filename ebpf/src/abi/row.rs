//! Rows of unwind tables.

/// How a row finds the canonical frame address (CFA): the stack pointer before the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cfa {
    /// No unwind information: try the frame pointer.
    None = 0,
    /// `rsp + offset`
    Rsp = 1,
    /// `rbp + offset`
    Rbp = 2,
    /// `rsp + 8`, and 8 more when `pc & 15 >= add`: the procedure linkage table.
    Plt = 3,
    /// `*(rsp + offset) + add`
    DerefRsp = 4,
    /// `*(rbp + offset) + add`
    DerefRbp = 5,
    /// A signal frame.
    Signal = 6,
    /// The outermost function.
    End = 7,
    /// A rule no row can express.
    Unsupported = 8,
    /// `*(rbp + offset) + add`, and the caller's rbp lies at `*rbp`: GCC's frames with a realigned stack.
    Realigned = 9,
}

/// One row of an unwind table: valid from its pc to the next row's.
///
/// Packed as `pc_low:12 | cfa:4 | cfa_offset/8:16 | rbp_offset/8:16 | add:16`.
/// `rbp` is 0 when the caller's rbp is unchanged, a positive value when it is lost, else where it was saved,
/// in bytes below the CFA as a negative offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row {
    /// Address within its 4 KiB page.
    pub pc_low: u16,
    /// How to find the CFA.
    pub cfa: Cfa,
    /// Bytes added to the base register, a multiple of 8. Beyond 256 KiB only with [`Cfa::Rsp`] and [`Cfa::Rbp`], where
    /// `add` is 0 here and takes the upper bits of the packed offset.
    pub cfa_offset: i32,
    /// Where the caller's rbp was saved, relative to the CFA, a multiple of 8.
    pub rbp_offset: i32,
    /// See [`Cfa`].
    pub add: i16,
}

impl Row {
    /// The row as the kernel side reads it, or `None` when an offset does not fit.
    pub fn pack(self) -> Option<u64> {
        let eighths = |bytes: i32| (bytes % 8 == 0).then_some(bytes / 8);
        let cfa_offset = eighths(self.cfa_offset)?;
        let (cfa_offset, add) = match self.cfa {
            Cfa::Rsp | Cfa::Rbp => {
                let [low, next, ..] = cfa_offset.to_le_bytes();
                let low = i16::from_le_bytes([low, next]);
                (low, i16::try_from((cfa_offset - i32::from(low)) >> 16).ok()?)
            }
            _ => (i16::try_from(cfa_offset).ok()?, self.add),
        };
        let rbp_offset = i16::try_from(eighths(self.rbp_offset)?).ok()?;
        Some(
            u64::from(self.pc_low & 0xfff)
                | (self.cfa as u64) << 12
                | u64::from(cfa_offset.cast_unsigned()) << 16
                | u64::from(rbp_offset.cast_unsigned()) << 32
                | u64::from(add.cast_unsigned()) << 48,
        )
    }
}
