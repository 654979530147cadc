//! Names of the kernel's own functions, from `/proc/kallsyms`.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
};

use leakhound_report::recording::{Frame, Module};
use thiserror::Error;

const KALLSYMS: &str = "/proc/kallsyms";

/// Names of kernel functions by address.
#[derive(Debug)]
pub struct KernelSymbols {
    table: Table,
    modules: Vec<String>,
    /// Addresses that nothing is known about.
    misses: u64,
}

/// Kernel functions cannot be named.
#[derive(Debug, Error)]
pub enum KernelSymbolsError {
    /// The file cannot be read.
    #[error("cannot read {KALLSYMS}")]
    Read(#[source] io::Error),
    /// The kernel shows it with all addresses 0.
    #[error(
        "the kernel hides the addresses of its functions, so nothing that it allocates could be named: run as root, or add CAP_SYSLOG"
    )]
    Hidden,
}

/// Functions sorted by address.
#[derive(Debug, Default)]
struct Table {
    functions: Vec<Function>,
    names: String,
}

#[derive(Debug, Clone, Copy)]
struct Function {
    address: u64,
    /// Where its name lies in `names`.
    name: (u32, u32),
    module: u32,
}

impl KernelSymbols {
    /// Reads the names of everything loaded now.
    pub fn read() -> Result<Self, KernelSymbolsError> {
        let mut symbols = Self { table: Table::default(), modules: Vec::new(), misses: 0 };
        symbols.read_again()?;
        Ok(symbols)
    }

    fn read_again(&mut self) -> Result<(), KernelSymbolsError> {
        let file = File::open(KALLSYMS).map_err(KernelSymbolsError::Read)?;
        self.table = Table::parse(BufReader::new(file), &mut self.modules)?;
        Ok(())
    }

    /// Frames for addresses, each inside the instruction that calls. A kernel module loaded meanwhile is found by reading
    /// once more.
    pub fn frames(&mut self, addresses: &[u64]) -> HashMap<u64, Frame> {
        if addresses.iter().any(|address| self.table.find(*address).is_none())
            && let Err(error) = self.read_again()
        {
            tracing::debug!(%error, "kernel symbols stay as they were");
        }
        let mut frames = HashMap::with_capacity(addresses.len());
        for address in addresses {
            let found = self.table.find(*address);
            self.misses += u64::from(found.is_none());
            let function = found.map(|function| self.table.name(function).to_owned());
            let module = found.map(|function| function.module);
            frames.insert(*address, Frame { function, module, address: *address, ..Frame::default() });
        }
        frames
    }

    /// The kernel and its modules from one number on, as recordings name them: `[kernel]`, `[ext4]`.
    pub fn records_from(&self, first: usize) -> impl Iterator<Item = Module> + '_ {
        self.modules.iter().enumerate().skip(first).filter_map(|(number, name)| {
            Some(Module { id: u32::try_from(number).ok()?, path: name.clone(), ..Module::default() })
        })
    }

    /// Addresses that nothing is known about.
    pub fn unnamed(&self) -> u64 {
        self.misses
    }
}

impl Table {
    /// Lines such as `ffffffffc0a1b2c0 t ext4_alloc_inode\t[ext4]`; modules met for the first time are added to the list.
    fn parse(mut lines: impl BufRead, modules: &mut Vec<String>) -> Result<Self, KernelSymbolsError> {
        let mut table = Self::default();
        let mut numbers: HashMap<String, u32> = modules.iter().cloned().zip(0..).collect();
        let mut hidden = true;
        let mut line = String::new();
        while lines.read_line(&mut line).map_err(KernelSymbolsError::Read)? > 0 {
            if let Some((address, name, module)) = parse_line(&line) {
                hidden &= address == 0;
                let module = *numbers.entry(module.to_owned()).or_insert_with(|| {
                    modules.push(module.to_owned());
                    u32::try_from(modules.len() - 1).unwrap_or(u32::MAX)
                });
                table.push(address, name, module);
            }
            line.clear();
        }
        if hidden {
            return Err(KernelSymbolsError::Hidden);
        }
        table.functions.sort_by_key(|function| function.address);
        Ok(table)
    }

    fn push(&mut self, address: u64, name: &str, module: u32) {
        let Ok(start) = u32::try_from(self.names.len()) else { return };
        let Ok(length) = u32::try_from(name.len()) else { return };
        self.names.push_str(name);
        self.functions.push(Function { address, name: (start, length), module });
    }

    /// The function around an address. What lies far behind one is no part of it: code without symbols.
    fn find(&self, address: u64) -> Option<Function> {
        const LONGEST: u64 = 1 << 18;
        let after = self.functions.partition_point(|function| function.address <= address);
        let function = *self.functions.get(after.checked_sub(1)?)?;
        (address - function.address < LONGEST).then_some(function)
    }

    fn name(&self, function: Function) -> &str {
        let (start, length) = (function.name.0 as usize, function.name.1 as usize);
        self.names.get(start..start + length).unwrap_or_default()
    }
}

/// Address, name and module of a function; data has no stack frames.
fn parse_line(line: &str) -> Option<(u64, &str, &str)> {
    let mut fields = line.split_ascii_whitespace();
    let address = u64::from_str_radix(fields.next()?, 16).ok()?;
    let kind = fields.next()?;
    let name = fields.next()?;
    matches!(kind, "t" | "T" | "w" | "W").then(|| (address, name, fields.next().unwrap_or("[kernel]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000000 T _text
ffffffff81000100 t do_pipe2
ffffffff81000200 D some_data
ffffffffc0000040 t ext4_alloc_inode\t[ext4]
ffffffff81000180 W weak_one
";

    #[test]
    fn functions_are_found_by_addresses_inside() {
        let mut modules = Vec::new();
        let table = Table::parse(TEXT.as_bytes(), &mut modules).unwrap();
        let name = |address| table.find(address).map(|function| (table.name(function), function.module));
        assert_eq!(name(0xffff_ffff_8100_0100), Some(("do_pipe2", 0)));
        assert_eq!(name(0xffff_ffff_8100_017f), Some(("do_pipe2", 0)));
        assert_eq!(name(0xffff_ffff_8100_0210), Some(("weak_one", 0)));
        assert_eq!(name(0xffff_ffff_c000_0041), Some(("ext4_alloc_inode", 1)));
        assert_eq!(name(0xffff_ffff_80ff_ffff), None);
        assert_eq!(name(0xffff_ffff_a000_0000), None, "far behind every function");
        assert_eq!(modules, ["[kernel]", "[ext4]"]);
    }

    #[test]
    fn modules_keep_their_numbers_when_read_again() {
        let mut modules = vec!["[kernel]".to_owned(), "[nf_tables]".to_owned()];
        let table = Table::parse(TEXT.as_bytes(), &mut modules).unwrap();
        assert_eq!(table.find(0xffff_ffff_c000_0041).unwrap().module, 2);
        assert_eq!(modules, ["[kernel]", "[nf_tables]", "[ext4]"]);
    }

    #[test]
    fn hidden_addresses_are_an_error_that_says_what_to_do() {
        let text = "0000000000000000 T _text\n0000000000000000 t do_pipe2\n";
        let error = Table::parse(text.as_bytes(), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("CAP_SYSLOG"), "{error}");
        assert!(Table::parse("nonsense\n\n".as_bytes(), &mut Vec::new()).is_err());
    }
}
