//! bpf(2) itself: three commands, each a function.
#![allow(unsafe_code, reason = "this file is the border to the bpf system call")]

use std::{
    ffi::{CStr, CString, c_char},
    io,
    mem::{self, MaybeUninit},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
    ptr,
};

use aya_obj::{
    Function,
    generated::{bpf_attr, bpf_cmd, bpf_insn, bpf_prog_info, bpf_prog_type},
};
use thiserror::Error;

/// What kind of link a program is loaded for (`enum bpf_attach_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum AttachType {
    /// Many probes of one file in one link; kernel 6.6.
    UprobeMulti = 48,
    /// The same, entry and return in one program that shares 8 bytes between them; kernel 6.13.
    UprobeSession = 57,
}

/// A program in the kernel.
#[derive(Debug)]
pub struct Program(pub(super) OwnedFd);

/// A set of attached probes; they come off when it is dropped.
#[derive(Debug)]
pub struct Link(#[allow(dead_code, reason = "held for its drop")] OwnedFd);

/// The kernel refused a program.
#[derive(Debug, Error)]
#[error("the kernel refused program {name}{}", verifier_tail(.log))]
pub struct ProgramError {
    /// Name in the object file.
    pub name: String,
    /// What the verifier said.
    pub log: String,
    /// The system call's error.
    pub source: io::Error,
}

/// The kernel refused to attach probes.
#[derive(Debug, Error)]
pub enum LinkError {
    /// A path with a NUL byte.
    #[error("{0} is not a path the kernel can take")]
    Path(PathBuf),
    /// BPF_LINK_CREATE failed.
    #[error("cannot attach {count} probes to {path}")]
    Create {
        /// How many probes.
        count: usize,
        /// Into which file.
        path: PathBuf,
        /// The system call's error.
        source: io::Error,
    },
}

/// The last lines of what the verifier said, which name the reason.
pub(super) fn verifier_tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(3)..];
    if tail.is_empty() { String::new() } else { format!(" (its verifier: {})", tail.join(" | ")) }
}

/// A zeroed attribute: all its fields are integers, and the kernel wants unused bytes to be zero.
fn attribute() -> bpf_attr {
    // SAFETY: bpf_attr is a union of structs of integers, for which all zeroes is a value.
    unsafe { mem::zeroed() }
}

pub(super) fn bpf(command: bpf_cmd, attribute: &mut bpf_attr) -> io::Result<i64> {
    // SAFETY: the attribute lives through the call, and every address in it belongs to a buffer that its maker keeps.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attribute), mem::size_of::<bpf_attr>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(number: i64) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: bpf(2) has just returned this number as a new descriptor, which nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Loads type information, which programs with callbacks must refer to.
pub(super) fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = attribute();
    // SAFETY: writing an integer-only member of a zeroed union.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = btf.as_ptr() as u64;
    load.btf_size = count(btf.len());
    descriptor(bpf(bpf_cmd::BPF_BTF_LOAD, &mut attr)?)
}

/// Loads one relocated function as a uprobe program.
pub(super) fn load_program(
    name: &str,
    code: &[bpf_insn],
    function: &Function,
    btf: &OwnedFd,
    attach: AttachType,
) -> Result<Program, ProgramError> {
    // A log is costly, so it is asked for only after a refusal.
    match try_load_program(name, code, function, btf, attach, &mut []) {
        Ok(program) => Ok(program),
        Err(source) => {
            let mut log = vec![0u8; 1 << 20];
            let source =
                try_load_program(name, code, function, btf, attach, &mut log).err().unwrap_or(source);
            let log = CStr::from_bytes_until_nul(&log).map(CStr::to_string_lossy).unwrap_or_default();
            Err(ProgramError { name: name.to_owned(), log: log.into_owned(), source })
        }
    }
}

fn try_load_program(
    name: &str,
    code: &[bpf_insn],
    function: &Function,
    btf: &OwnedFd,
    attach: AttachType,
    log: &mut [u8],
) -> io::Result<Program> {
    let functions = function.func_info.func_info_bytes();
    let license = c"Dual BSD/GPL";
    let mut attr = attribute();
    // SAFETY: writing an integer-only member of a zeroed union.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    load.expected_attach_type = attach as u32;
    load.insns = code.as_ptr() as u64;
    load.insn_cnt = count(code.len());
    load.license = license.as_ptr() as u64;
    if !log.is_empty() {
        load.log_level = 1;
        load.log_buf = log.as_mut_ptr() as u64;
        load.log_size = count(log.len());
    }
    for (to, from) in load.prog_name[..15].iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    load.prog_btf_fd = btf.as_raw_fd().cast_unsigned();
    load.func_info = functions.as_ptr() as u64;
    load.func_info_rec_size = count(function.func_info_rec_size);
    load.func_info_cnt = count(function.func_info.len());
    descriptor(bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr)?).map(Program)
}

/// What the kernel knows about a program: among other things how often it was not run because it was running already on that CPU.
pub(super) fn program_info(program: RawFd) -> io::Result<bpf_prog_info> {
    let mut info = MaybeUninit::<bpf_prog_info>::zeroed();
    let mut attr = attribute();
    // SAFETY: writing integer-only members of a zeroed union.
    let get = unsafe { &mut attr.info };
    get.bpf_fd = program.cast_unsigned();
    get.info_len = count(mem::size_of::<bpf_prog_info>());
    get.info = info.as_mut_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    // SAFETY: a struct of integers, zeroed and then written by the kernel as far as it knows its fields.
    Ok(unsafe { info.assume_init() })
}

/// A probe to put on: where in the file, and what the program will read as its cookie.
pub type Site = (u64, u64);

/// Attaches a program at many places of one file, in one process only. `at_return` asks for returns instead of entries.
///
/// The kernel walks the process's mappings and finds those of the file by inode, so a path such as `/proc/self/fd/N` will do.
pub fn link_uprobes(
    program: &Program,
    attach: AttachType,
    path: &Path,
    sites: &[Site],
    pid: u32,
    at_return: bool,
) -> Result<Link, LinkError> {
    const BPF_F_UPROBE_MULTI_RETURN: u32 = 1;
    let name =
        CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_nul| LinkError::Path(path.to_owned()))?;
    let (offsets, cookies): (Vec<u64>, Vec<u64>) = sites.iter().copied().unzip();
    let mut attr = attribute();
    // SAFETY: writing integer-only members of a zeroed union.
    let create = unsafe { &mut attr.link_create };
    create.__bindgen_anon_1.prog_fd = program.0.as_raw_fd().cast_unsigned();
    create.attach_type = attach as u32;
    // SAFETY: the same.
    let multi = unsafe { &mut create.__bindgen_anon_3.uprobe_multi };
    multi.path = name.as_ptr() as u64;
    multi.offsets = offsets.as_ptr() as u64;
    multi.cookies = cookies.as_ptr() as u64;
    multi.cnt = count(sites.len());
    multi.flags = if at_return { BPF_F_UPROBE_MULTI_RETURN } else { 0 };
    multi.pid = pid;
    bpf(bpf_cmd::BPF_LINK_CREATE, &mut attr)
        .and_then(descriptor)
        .map(Link)
        .map_err(|source| LinkError::Create { count: sites.len(), path: path.to_owned(), source })
}
