//! Walks the stacks of real programs as the kernel side does, and compares frame for frame with libgcc's unwinder.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use leakhound_ebpf::abi::Cfa;

use super::reader::{self, Registers, Step};
use crate::{
    image::Image,
    maps::{self, Mapping},
    process::ProcessId,
    unwind::{UnwindTable, compile},
};

const SOURCE: &str = include_str!("walk.c");

/// A program waiting in its innermost function; it ends when this is dropped.
struct Waiting {
    child: Child,
    registers: Registers,
    /// What libgcc saw, innermost first.
    frames: Vec<u64>,
}

impl Waiting {
    fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut registers = None;
        let mut frames = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let mut words = line.split_whitespace();
            let kind = words.next().unwrap();
            let numbers: Vec<u64> = words.map(|word| u64::from_str_radix(word, 16).unwrap()).collect();
            match kind {
                "registers" => {
                    registers = Some(Registers { ip: numbers[0], sp: numbers[1], bp: Some(numbers[2]) });
                }
                "frame" => frames.push(numbers[0]),
                _ => break,
            }
        }
        Self { child, registers: registers.expect("the program ended early"), frames }
    }

    fn walk(&self) -> (Vec<u64>, Vec<Cfa>) {
        let process = ProcessId::find(self.child.id()).unwrap();
        let modules: Vec<(Mapping, u64, Option<UnwindTable>)> = maps::executable(process)
            .unwrap()
            .into_iter()
            .filter_map(|mapping| {
                let image = Image::open(process, &mapping).ok()?;
                let bias = image.bias(&mapping);
                let cache = image.data();
                Some((mapping, bias, compile(&cache).ok()))
            })
            .collect();
        let memory = File::open(format!("/proc/{}/mem", self.child.id())).unwrap();
        let read = |address: u64| {
            let mut bytes = [0; 8];
            memory.read_exact_at(&mut bytes, address).ok()?;
            Some(u64::from_le_bytes(bytes))
        };
        let (mut at, mut is_return) = (self.registers, false);
        let (mut frames, mut kinds) = (vec![at.ip], Vec::new());
        while frames.len() < 200 {
            let pc = at.ip - u64::from(is_return);
            let module = modules.iter().find(|(mapping, ..)| (mapping.start..mapping.end).contains(&pc));
            let Some((_, bias, table)) = module else { break };
            let row = table
                .as_ref()
                .and_then(|table| reader::find(table, pc.wrapping_sub(*bias)))
                .unwrap_or(crate::unwind::rule::bare(Cfa::None));
            kinds.push(row.cfa);
            let Step::Caller(caller, caller_is_return) = reader::step(row, at, pc, &read) else { break };
            frames.push(caller.ip);
            (at, is_return) = (caller, caller_is_return);
        }
        (frames, kinds)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

/// Compiles [`SOURCE`]; `None`, loudly, when this machine lacks the compiler and is not CI.
fn build(directory: &Path, compiler: &str, flags: &[&str]) -> Option<PathBuf> {
    let source = directory.join("walk.c");
    fs::write(&source, SOURCE).unwrap();
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
    let Some(program) = build(directory.path(), compiler, flags) else { return };
    for arguments in [&[][..], &["thread"]] {
        let waiting = Waiting::start(&program, arguments);
        let (frames, kinds) = waiting.walk();
        assert!(waiting.frames.len() >= 14, "{flags:?}: libgcc saw {} frames", waiting.frames.len());
        assert_eq!(
            hex(&frames[1..]),
            hex(&waiting.frames[1..]),
            "{compiler} {flags:?} {arguments:?}, by {kinds:?}"
        );
        for kind in [Cfa::Rsp, Cfa::Signal, Cfa::End] {
            assert!(kinds.contains(&kind), "{compiler} {flags:?}: no frame by {kind:?} in {kinds:?}");
        }
    }
}

fn hex(addresses: &[u64]) -> Vec<String> {
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
