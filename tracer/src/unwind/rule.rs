//! One row of DWARF's call frame table as one row of ours.

use gimli::{CfaRule, CommonInformationEntry, Register, RegisterRule, UnwindSection, UnwindTableRow, X86_64};
use leakhound_ebpf::abi::{Cfa, Row};

use super::{
    UnwindStats, expression,
    functions::{Bytes, Storage},
};

pub(super) const RBP: Register = X86_64::RBP;
pub(super) const RSP: Register = X86_64::RSP;
/// Any positive offset: the caller's rbp cannot be found.
const LOST: i64 = 8;

/// A row that needs no offsets.
pub(super) fn bare(cfa: Cfa) -> Row {
    Row { pc_low: 0, cfa, cfa_offset: 0, rbp_offset: 0, add: 0 }
}

/// The row for `row`, with `pc_low` 0. It can always be packed: what does not fit has become "unsupported".
pub(super) fn rule<'a, S: UnwindSection<Bytes<'a>>>(
    row: &UnwindTableRow<usize, Storage>,
    cie: &CommonInformationEntry<Bytes<'a>>,
    section: &S,
    stats: &mut UnwindStats,
) -> Row {
    match row.register(cie.return_address_register()) {
        Some(RegisterRule::Undefined) => return bare(Cfa::End),
        Some(RegisterRule::Offset(-8)) => {}
        _ => return unsupported(stats),
    }
    // The caller's rsp is the CFA; the few functions that switch stacks say otherwise.
    if !matches!(row.register(RSP), None | Some(RegisterRule::ValOffset(0))) {
        return unsupported(stats);
    }
    let (cfa, cfa_offset, add) = match row.cfa() {
        CfaRule::RegisterAndOffset { register: RSP, offset } => (Cfa::Rsp, *offset, 0),
        CfaRule::RegisterAndOffset { register: RBP, offset } => (Cfa::Rbp, *offset, 0),
        CfaRule::RegisterAndOffset { .. } => return unsupported(stats),
        CfaRule::Expression(expression) => {
            match expression.get(section).ok().and_then(|e| expression::read(e, cie.encoding())) {
                Some(found) => found,
                None => return unsupported(stats),
            }
        }
    };
    match cfa {
        Cfa::Plt => stats.plt += 1,
        Cfa::DerefRsp | Cfa::DerefRbp => stats.deref += 1,
        _ => {}
    }
    let (cfa, rbp_offset) = match row.register(RBP) {
        None | Some(RegisterRule::SameValue) => (cfa, 0),
        Some(RegisterRule::Offset(offset)) if offset < 0 => (cfa, offset),
        Some(RegisterRule::Expression(at))
            if cfa == Cfa::DerefRbp
                && at.get(section).is_ok_and(|at| expression::is_rbp(at, cie.encoding())) =>
        {
            (Cfa::Realigned, 0)
        }
        _ => {
            stats.rbp_lost += 1;
            (cfa, LOST)
        }
    };
    fit(cfa, cfa_offset, rbp_offset, add).unwrap_or_else(|| {
        stats.does_not_fit += 1;
        unsupported(stats)
    })
}

fn fit(cfa: Cfa, cfa_offset: i64, rbp_offset: i64, add: i64) -> Option<Row> {
    let row = Row {
        pc_low: 0,
        cfa,
        cfa_offset: cfa_offset.try_into().ok()?,
        rbp_offset: rbp_offset.try_into().ok()?,
        add: add.try_into().ok()?,
    };
    row.pack().map(|_| row)
}

fn unsupported(stats: &mut UnwindStats) -> Row {
    stats.unsupported += 1;
    bare(Cfa::Unsupported)
}
