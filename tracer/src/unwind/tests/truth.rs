//! What gimli's own evaluator says about one step up: every register rule and every expression, no short cuts.

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EndianSlice, Evaluation, EvaluationResult, LittleEndian, Register,
    RegisterRule, UnwindContext, UnwindExpression, UnwindSection, Value, X86_64,
};
use object::{Object, ObjectSection};

use super::reader::{Registers, Step};

type Fde<'a> = gimli::FrameDescriptionEntry<EndianSlice<'a, LittleEndian>>;

/// The functions of an ELF file's `.eh_frame`.
pub(super) struct Truth<'a> {
    section: EhFrame<EndianSlice<'a, LittleEndian>>,
    bases: BaseAddresses,
    pub(super) functions: Vec<Fde<'a>>,
}

impl<'a> Truth<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        let file = object::File::parse(data).unwrap();
        let address = |name| file.section_by_name(name).map_or(0, |section| section.address());
        let bases =
            BaseAddresses::default().set_eh_frame(address(".eh_frame")).set_text(address(".text")).set_got(0);
        let bytes = file.section_by_name(".eh_frame").unwrap().data().unwrap();
        let section = EhFrame::new(bytes, LittleEndian);
        let mut functions = Vec::new();
        let mut entries = section.entries(&bases);
        while let Some(entry) = entries.next().unwrap() {
            if let gimli::CieOrFde::Fde(partial) = entry {
                functions.push(partial.parse(EhFrame::cie_from_offset).unwrap());
            }
        }
        Self { section, bases, functions }
    }

    /// One frame up from a pc inside `function`; `None` when a register is needed that walks do not have.
    pub(super) fn step(
        &self,
        function: &Fde<'_>,
        at: Registers,
        memory: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Step> {
        let mut context = UnwindContext::new();
        let row = function.unwind_info_for_address(&self.section, &self.bases, &mut context, at.ip).ok()?;
        let register = |register| match register {
            X86_64::RSP => Some(at.sp),
            X86_64::RBP => at.bp,
            X86_64::RA => Some(at.ip),
            _ => None,
        };
        let evaluate = |expression: UnwindExpression<usize>, initial: Option<u64>| {
            let mut evaluation = expression.get(&self.section).unwrap().evaluation(function.cie().encoding());
            if let Some(value) = initial {
                evaluation.set_initial_value(value);
            }
            run(evaluation, &register, memory)
        };
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register: base, offset } => {
                register(*base)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => evaluate(*expression, None)?,
        };
        let caller = |wanted: Register| match row.register(wanted) {
            None if wanted == X86_64::RSP => Some(cfa),
            None | Some(RegisterRule::SameValue) => register(wanted),
            Some(RegisterRule::Offset(offset)) => memory(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::ValOffset(offset)) => Some(cfa.wrapping_add_signed(offset)),
            Some(RegisterRule::Register(other)) => register(other),
            Some(RegisterRule::Expression(expression)) => memory(evaluate(expression, Some(cfa))?),
            Some(RegisterRule::ValExpression(expression)) => evaluate(expression, Some(cfa)),
            Some(_) => None,
        };
        if row.register(X86_64::RA) == Some(RegisterRule::Undefined) {
            return Some(Step::End);
        }
        let registers =
            Registers { ip: caller(X86_64::RA)?, sp: caller(X86_64::RSP)?, bp: caller(X86_64::RBP) };
        Some(Step::Caller(registers, !function.is_signal_trampoline()))
    }
}

fn run(
    mut evaluation: Evaluation<EndianSlice<'_, LittleEndian>>,
    register: &dyn Fn(Register) -> Option<u64>,
    memory: &dyn Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => return evaluation.value_result()?.to_u64(u64::MAX).ok(),
            EvaluationResult::RequiresRegister { register: wanted, .. } => {
                evaluation.resume_with_register(Value::Generic(register(wanted)?)).ok()?
            }
            EvaluationResult::RequiresMemory { address, .. } => {
                evaluation.resume_with_memory(Value::Generic(memory(address)?)).ok()?
            }
            other => panic!("{other:?} in an unwind expression"),
        };
    }
}
