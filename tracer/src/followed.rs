//! A process under investigation: its code over time, and its probes.

use std::io;

use leakhound_ebpf::abi::{self, ProcessNumber};

use crate::{
    attachment::ProcessProbes,
    kernel_side::monotonic_ns,
    maps,
    modules::{Module, Modules},
    process::{ProcessId, Program},
};

/// An executable mapping and the module in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// Number of the module; `None` is anonymous memory, or a file that could not be used.
    pub module: Option<u32>,
    /// Run-time address minus the file's own virtual address.
    pub bias: u64,
    /// The page that the kernel puts into a program for its probes.
    pub probes: bool,
}

/// Mappings remembered after they went.
const MOST_FORMER: usize = 4096;

/// A process under investigation.
pub struct Followed {
    /// Who.
    pub id: ProcessId,
    /// Its number in the kernel's tables.
    pub number: ProcessNumber,
    /// Which program it runs.
    pub program: Option<Program>,
    /// Attached probes.
    pub probes: ProcessProbes,
    /// What is mapped now, sorted by start.
    code: Vec<Code>,
    /// What was mapped earlier: stacks recorded then still point into it.
    former: Vec<Code>,
}

impl Followed {
    /// A process whose mappings are not read yet.
    pub fn new(id: ProcessId, number: ProcessNumber) -> Self {
        let probes = ProcessProbes::default();
        Self { id, number, program: id.program(), probes, code: Vec::new(), former: Vec::new() }
    }

    /// Reads its mappings again, opens files met for the first time, and returns the modules it did not have before;
    /// `None` when nothing changed.
    pub fn remap(&mut self, modules: &mut Modules) -> io::Result<Option<Vec<u32>>> {
        let code: Vec<Code> = maps::executable(self.id)?
            .iter()
            .map(|mapping| {
                let module = modules.find_or_open(self.id, mapping);
                let image = module.and_then(|number| modules.get(number)).map(|module| &module.image);
                let bias = image.map_or(0, |image| image.bias(mapping));
                let probes = mapping.path.is_for_probes();
                Code { start: mapping.start, end: mapping.end, module, bias, probes }
            })
            .collect();
        // A process that is ending shows no mappings: what it had is worth more.
        if code == self.code || code.is_empty() {
            return Ok(None);
        }
        let known =
            |number: &u32| self.code.iter().chain(&self.former).any(|code| code.module == Some(*number));
        let mut new: Vec<u32> =
            code.iter().filter_map(|code| code.module).filter(|number| !known(number)).collect();
        new.sort_unstable();
        new.dedup();
        let gone = self.code.iter().filter(|old| !code.contains(old)).copied();
        self.former.extend(gone);
        // a program that loads and unloads for ever; the oldest stacks were named long ago
        self.former.drain(..self.former.len().saturating_sub(MOST_FORMER));
        self.code = code;
        Ok(Some(new))
    }

    /// The module at an address and the virtual address in it.
    pub fn place(&self, address: u64) -> Option<(u32, u64)> {
        let inside = |code: &&Code| (code.start..code.end).contains(&address);
        let code = self.code.iter().find(inside).or_else(|| self.former.iter().rev().find(inside))?;
        Some((code.module?, address.wrapping_sub(code.bias)))
    }

    /// The mappings as the kernel side walks by them, and how many found no room.
    pub fn kernel_table(&self, modules: &Modules) -> (Box<abi::Process>, usize) {
        let mut table = Box::new(abi::Process {
            mapping_count: 0,
            pad: 0,
            mapping: [abi::Mapping::default(); abi::MAX_MAPPINGS],
            set_ns: monotonic_ns(),
        });
        for (to, code) in table.mapping.iter_mut().zip(&self.code) {
            let place = code.module.and_then(|number| modules.get(number)).and_then(Module::place);
            *to = abi::Mapping { start: code.start, end: code.end, ..abi::Mapping::default() };
            if let Some((place, first_address)) = place {
                to.bias = code.bias.wrapping_add(first_address);
                to.first_page = place.first_page;
                to.page_count = place.page_count;
            }
            if code.probes {
                to.start -= 1; // return probes put its first address on the stack, and a return is looked for before it
                to.first_page = abi::PROBES_PAGE;
            }
            table.mapping_count += 1;
        }
        (table, self.code.len().saturating_sub(abi::MAX_MAPPINGS))
    }
}
