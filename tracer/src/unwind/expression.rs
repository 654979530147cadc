//! The expressions for the CFA that compilers and linkers write.

use gimli::{Encoding, Expression, Operation, X86_64};
use leakhound_ebpf::abi::Cfa;

use super::{
    functions::Bytes,
    rule::{RBP, RSP},
};

/// Operations of the longest expression known here.
const LONGEST: usize = 9;

/// Kind, offset and addend of a CFA expression; `None` when it is none of the known ones:
///
/// - `*(register + n)` and `*(register + n) + m` for rsp and rbp: GCC's frames with a realigned stack and OpenSSL's assembly;
/// - `rsp + 8 + ((rip & 15) >= n) * 8`: a procedure linkage table, as binutils and LLVM's linker write it.
pub(super) fn read(expression: Expression<Bytes<'_>>, encoding: Encoding) -> Option<(Cfa, i64, i64)> {
    let mut operations = Vec::with_capacity(LONGEST);
    let mut rest = expression.operations(encoding);
    while let Some(operation) = rest.next().ok()? {
        if operations.len() == LONGEST {
            return None;
        }
        operations.push(operation);
    }
    match operations[..] {
        [
            Operation::RegisterOffset { register, offset, .. },
            Operation::Deref { size: 8, space: false, .. },
            ref rest @ ..,
        ] => {
            let cfa = match register {
                RSP => Cfa::DerefRsp,
                RBP => Cfa::DerefRbp,
                _ => return None,
            };
            match rest {
                [] => Some((cfa, offset, 0)),
                [Operation::PlusConstant { value }] => Some((cfa, offset, i64::try_from(*value).ok()?)),
                _ => None,
            }
        }
        [
            Operation::RegisterOffset { register: RSP, offset: 8, .. },
            Operation::RegisterOffset { register: X86_64::RA, offset: 0, .. },
            Operation::UnsignedConstant { value: 15 },
            Operation::And,
            Operation::UnsignedConstant { value: threshold },
            Operation::Ge,
            Operation::UnsignedConstant { value: 3 },
            Operation::Shl,
            Operation::Plus,
        ] => Some((Cfa::Plt, 0, i64::try_from(threshold).ok()?)),
        _ => None,
    }
}

/// Whether an expression is rbp's own value: where GCC saves the caller's rbp in a function that realigns the stack.
pub(super) fn is_rbp(expression: Expression<Bytes<'_>>, encoding: Encoding) -> bool {
    let mut operations = expression.operations(encoding);
    matches!(
        (operations.next(), operations.next()),
        (Ok(Some(Operation::RegisterOffset { register: RBP, offset: 0, .. })), Ok(None))
    )
}
