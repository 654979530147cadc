//! The kernel side in Rust: finds a row as `unwind.bpf.h` does, and takes one step with it.

use leakhound_ebpf::abi::{Cfa, Row};

use crate::unwind::UnwindTable;

/// What a walk knows about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) ip: u64,
    pub(super) sp: u64,
    /// `None`: lost on the way.
    pub(super) bp: Option<u64>,
}

/// Where a step leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The caller; `true` when its ip is a return address.
    Caller(Registers, bool),
    /// The outermost function.
    End,
    /// No rule, or memory that cannot be read.
    Stuck,
}

/// The row for a virtual address of the file, with the address at which it begins within its page.
pub(super) fn find(table: &UnwindTable, address: u64) -> Option<Row> {
    let relative = address.wrapping_sub(table.first_address);
    let page = table.pages.get(usize::try_from(relative >> 12).unwrap())?;
    let in_page = &table.rows[page.first as usize..page.end as usize];
    let above = in_page.partition_point(|row| row & 0xfff <= relative & 0xfff);
    let index = (page.first as usize + above).checked_sub(1).expect("row 0 lies at the very start");
    Some(unpack(table.rows[index]))
}

pub(super) fn unpack(packed: u64) -> Row {
    let kinds = [
        Cfa::None,
        Cfa::Rsp,
        Cfa::Rbp,
        Cfa::Plt,
        Cfa::DerefRsp,
        Cfa::DerefRbp,
        Cfa::Signal,
        Cfa::End,
        Cfa::Unsupported,
        Cfa::Realigned,
    ];
    let field = |shift: u32| ((packed >> shift) as u16).cast_signed();
    let row = Row {
        pc_low: (packed & 0xfff) as u16,
        cfa: kinds[(packed >> 12) as usize & 15],
        cfa_offset: i32::from(field(16)) * 8,
        rbp_offset: i32::from(field(32)) * 8,
        add: field(48),
    };
    match row.cfa {
        Cfa::Rsp | Cfa::Rbp => {
            Row { cfa_offset: row.cfa_offset + i32::from(row.add) * (512 << 10), add: 0, ..row }
        }
        _ => row,
    }
}

/// One frame up. `pc` is the address that `row` was found for.
pub(super) fn step(row: Row, at: Registers, pc: u64, memory: &dyn Fn(u64) -> Option<u64>) -> Step {
    try_step(row, at, pc, memory).unwrap_or(Step::Stuck)
}

fn try_step(row: Row, at: Registers, pc: u64, memory: &dyn Fn(u64) -> Option<u64>) -> Option<Step> {
    let plus = |base: u64, offset: i64| base.wrapping_add_signed(offset);
    let (offset, add) = (i64::from(row.cfa_offset), i64::from(row.add));
    let cfa = match row.cfa {
        Cfa::Rsp => plus(at.sp, offset),
        Cfa::Rbp => plus(at.bp?, offset),
        Cfa::Plt => plus(at.sp, if (pc & 15) as i64 >= add { 16 } else { 8 }),
        Cfa::DerefRsp => plus(memory(plus(at.sp, offset))?, add),
        Cfa::DerefRbp | Cfa::Realigned => plus(memory(plus(at.bp?, offset))?, add),
        Cfa::Signal => {
            let register = |number: u64| memory(at.sp + 40 + number * 8);
            let caller = Registers { ip: register(16)?, sp: register(15)?, bp: Some(register(10)?) };
            return Some(Step::Caller(caller, false));
        }
        Cfa::None => {
            let bp = at.bp?;
            let caller = Registers { ip: memory(bp + 8)?, sp: bp + 16, bp: Some(memory(bp)?) };
            return Some(if caller.ip == 0 { Step::End } else { Step::Caller(caller, true) });
        }
        Cfa::End => return Some(Step::End),
        Cfa::Unsupported => return None,
    };
    let bp = match row.rbp_offset {
        _ if row.cfa == Cfa::Realigned => Some(memory(at.bp?)?),
        0 => at.bp,
        1.. => None,
        saved => Some(memory(plus(cfa, saved.into()))?),
    };
    let ip = memory(cfa.wrapping_sub(8))?;
    Some(if ip == 0 { Step::End } else { Step::Caller(Registers { ip, sp: cfa, bp }, true) })
}
