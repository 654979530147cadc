//! Walks the stacks of real programs as the kernel side does, and compares frame for frame with libgcc's unwinder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Lines, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use leakhound_ebpf::abi::Cfa;

use super::reader::{self, Registers, Step};
use crate::{
    image::Image,
    maps::{self, Mapping},
    process::ProcessId,
    unwind::{UnwindTable, compile, rule::bare},
};

pub(super) const SOURCE: &str = include_str!("walk.c");

/// Of the one block that the program allocates.
pub(super) const BLOCK_SIZE: u64 = 77_777;

/// The program, before its stack or at the end of it; it ends when this is dropped.
pub(super) struct Program {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

/// What the program says about its stack.
pub(super) struct Said {
    pub(super) registers: Registers,
    /// What libgcc saw, innermost first.
    pub(super) frames: Vec<u64>,
}

/// A file mapped by the program.
pub(super) struct Module {
    pub(super) mapping: Mapping,
    pub(super) image: Image,
    pub(super) bias: u64,
    pub(super) table: Option<UnwindTable>,
}

impl Program {
    pub(super) fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(output.next().unwrap().unwrap(), "ready");
        Self { child, output }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it build its stack; returns when it waits in the innermost function.
    pub(super) fn descend(&mut self) -> Said {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut registers = None;
        let mut frames = Vec::new();
        loop {
            let line = self.output.next().expect("the program ended early").unwrap();
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap();
            let numbers: Vec<u64> = words.map(|word| u64::from_str_radix(word, 16).unwrap()).collect();
            match kind {
                "registers" => {
                    registers = Some(Registers { ip: numbers[0], sp: numbers[1], bp: Some(numbers[2]) });
                }
                "frame" => frames.push(numbers[0]),
                _ => return Said { registers: registers.unwrap(), frames },
            }
        }
    }

    pub(super) fn modules(&self) -> Vec<Module> {
        let process = ProcessId::find(self.pid()).unwrap();
        let open = |mapping: Mapping| {
            let image = Image::open(process, &mapping).ok()?;
            let (bias, table) = (image.bias(&mapping), compile(&image.data()).ok());
            Some(Module { mapping, image, bias, table })
        };
        maps::executable(process).unwrap().into_iter().filter_map(open).collect()
    }

    pub(super) fn walk(&self, from: Registers) -> (Vec<u64>, Vec<Cfa>) {
        let modules = self.modules();
        let memory = File::open(format!("/proc/{}/mem", self.pid())).unwrap();
        let read = |address: u64| {
            let mut bytes = [0; 8];
            memory.read_exact_at(&mut bytes, address).ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let (mut at, mut is_return) = (from, false);
        let (mut frames, mut kinds) = (vec![at.ip], Vec::new());
        while frames.len() < 200 {
            let pc = at.ip - u64::from(is_return);
            let module = modules.iter().find(|m| (m.mapping.start..m.mapping.end).contains(&pc));
            let Some(module) = module else { break };
            let table = module.table.as_ref();
            let row = table.and_then(|table| reader::find(table, pc.wrapping_sub(module.bias)));
            let row = row.unwrap_or_else(|| bare(Cfa::None));
            kinds.push(row.cfa);
            let Step::Caller(caller, caller_is_return) = reader::step(row, at, pc, &read) else { break };
            frames.push(caller.ip);
            (at, is_return) = (caller, caller_is_return);
        }
        (frames, kinds)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// Compiles a program; `None`, loudly, when this machine lacks the compiler and is not CI.
pub(super) fn build(directory: &Path, compiler: &str, text: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = directory.join("walk.c");
    fs::write(&source, text).unwrap();
    let program = directory.join("walk");
    let output =
        Command::new(compiler).args(flags).arg("-pthread").arg(&source).arg("-o").arg(&program).output();
    let Ok(output) = output else {
        assert!(std::env::var_os("CI").is_none(), "CI must have {compiler}");
        eprintln!("SKIPPED: {compiler} is not installed");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

fn same_as_libgcc(compiler: &str, flags: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = build(directory.path(), compiler, SOURCE, flags) else { return };
    for arguments in [&[][..], &["thread"]] {
        let mut program = Program::start(&program, arguments);
        let said = program.descend();
        let (frames, kinds) = program.walk(said.registers);
        assert!(said.frames.len() >= 14, "{flags:?}: libgcc saw {} frames", said.frames.len());
        // libgcc's first frame is a few instructions further on in the same function
        assert_eq!(
            hex(&frames[1..]),
            hex(&said.frames[1..]),
            "{compiler} {flags:?} {arguments:?}, by {kinds:?}"
        );
        for kind in [Cfa::Rsp, Cfa::Signal, Cfa::End] {
            assert!(kinds.contains(&kind), "{compiler} {flags:?}: no frame by {kind:?} in {kinds:?}");
        }
    }
}

pub(super) fn hex(addresses: &[u64]) -> Vec<String> {
    addresses.iter().map(|address| format!("{address:x}")).collect()
}

#[test]
fn without_frame_pointers() {
    same_as_libgcc("gcc", &["-O2", "-fomit-frame-pointer"]);
}

#[test]
fn with_frame_pointers() {
    same_as_libgcc("gcc", &["-O2", "-fno-omit-frame-pointer"]);
}

#[test]
fn unoptimized_and_stripped() {
    same_as_libgcc("gcc", &["-O0", "-s"]);
}

#[test]
fn static_programs() {
    same_as_libgcc("gcc", &["-O2", "-static"]);
    same_as_libgcc("gcc", &["-O2", "-static-pie"]);
}

#[test]
fn position_dependent_programs() {
    same_as_libgcc("gcc", &["-O2", "-no-pie"]);
}

#[test]
fn built_by_clang() {
    same_as_libgcc("clang", &["-O2"]);
}
