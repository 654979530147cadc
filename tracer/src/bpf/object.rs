//! One compiled object file: its maps in the kernel, its programs ready to be loaded for a kind of link.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use aya::{Btf, Ebpf, EbpfLoader, maps::Map};
use aya_obj::btf::BtfKind;
use thiserror::Error;

use super::syscall::{AttachType, Program, ProgramError, load_btf, load_program};

/// How many entries the maps shall hold, by name.
pub type Sizes<'a> = &'a [(&'a str, u32)];

/// Kernel functions called through helper numbers that do not exist (see heap.bpf.c).
const KERNEL_FUNCTIONS: [(i32, &str); 2] =
    [(100_001, "bpf_session_is_return"), (100_002, "bpf_session_cookie")];

/// The object could not be brought into the kernel.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// aya could not create the maps.
    #[error("cannot create the maps")]
    Maps(#[source] Box<aya::EbpfError>),
    /// The object file itself is damaged: a build error.
    #[error("the eBPF object does not parse: {0}")]
    Parse(String),
    /// The running kernel's types could not be read.
    #[error("the kernel's own type information is missing or unreadable")]
    KernelBtf(#[source] aya_obj::btf::BtfError),
    /// Our type information was refused.
    #[error("the kernel refused our type information")]
    LoadBtf(#[source] io::Error),
    /// A program of this name is not in the object file: a build error.
    #[error("the eBPF object has no {0}")]
    Missing(String),
    /// A kernel function that the program calls does not exist here.
    #[error("this kernel has no {0}")]
    KernelFunction(&'static str),
    /// The kernel refused a program.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// One compiled object file whose maps are in the kernel.
pub struct Object {
    /// aya's view: maps, and programs for links that aya knows.
    pub aya: Ebpf,
    code: aya_obj::Object,
    btf: OwnedFd,
    kernel_functions: [Option<u32>; 2],
}

impl Object {
    /// Creates the maps, with constants put in and sizes set, and relocates the code against them.
    pub fn load(bytes: &[u8], constants: &[(&str, &[u8])], sizes: Sizes<'_>) -> Result<Self, ObjectError> {
        let mut loader = EbpfLoader::new();
        for (name, value) in constants {
            loader.override_global(name, *value, true);
        }
        for (name, entries) in sizes {
            loader.map_max_entries(name, *entries);
        }
        let aya = loader.load(bytes).map_err(|error| ObjectError::Maps(Box::new(error)))?;

        let parse = |error: &dyn std::fmt::Display| ObjectError::Parse(error.to_string());
        let mut code = aya_obj::Object::parse(bytes).map_err(|error| parse(&error))?;
        code.patch_map_data(
            constants.iter().map(|(name, value)| (*name, (*value, true))).collect::<HashMap<_, _>>(),
        )
        .map_err(|error| parse(&error))?;
        let features =
            aya::features().btf().ok_or_else(|| ObjectError::Parse("this kernel knows no BTF".into()))?;
        let own_btf = code
            .fixup_and_sanitize_btf(features)
            .map_err(|error| parse(&error))?
            .ok_or_else(|| ObjectError::Parse("no type information inside".into()))?
            .to_bytes();
        let btf = load_btf(&own_btf).map_err(ObjectError::LoadBtf)?;
        let kernel = Btf::from_sys_fs().map_err(ObjectError::KernelBtf)?;
        code.relocate_btf(&kernel).map_err(|error| parse(&error))?;
        let text: HashSet<usize> = code.functions.keys().map(|(section, _)| *section).collect();
        let maps: Vec<(String, i32, aya_obj::Map)> = code
            .maps
            .iter()
            .filter_map(|(name, map)| {
                use std::os::fd::AsRawFd;
                Some((name.clone(), descriptor(aya.map(name)?)?.as_raw_fd(), map.clone()))
            })
            .collect();
        code.relocate_maps(maps.iter().map(|(name, fd, map)| (name.as_str(), *fd, map)), &text)
            .map_err(|error| parse(&error))?;
        code.relocate_calls(&text).map_err(|error| parse(&error))?;
        let kernel_functions =
            KERNEL_FUNCTIONS.map(|(_, name)| kernel.id_by_type_name_kind(name, BtfKind::Func).ok());
        Ok(Self { aya, code, btf, kernel_functions })
    }

    /// Loads a program for a kind of link that aya does not know.
    pub fn program(&self, name: &str, attach: AttachType) -> Result<Program, ObjectError> {
        let missing = || ObjectError::Missing(name.to_owned());
        let program = self.code.programs.get(name).ok_or_else(missing)?;
        let function = self.code.functions.get(&program.function_key()).ok_or_else(missing)?;
        let mut code = function.instructions.clone();
        for instruction in &mut code {
            const CALL: u8 = 0x85;
            const PSEUDO_KERNEL_FUNCTION: u8 = 2;
            let Some(index) = KERNEL_FUNCTIONS.iter().position(|(number, _)| *number == instruction.imm)
            else {
                continue;
            };
            if instruction.code == CALL && instruction.src_reg() == 0 {
                let id = self.kernel_functions[index]
                    .ok_or(ObjectError::KernelFunction(KERNEL_FUNCTIONS[index].1))?;
                instruction.set_src_reg(PSEUDO_KERNEL_FUNCTION);
                instruction.imm = id.cast_signed();
            }
        }
        Ok(load_program(name, &code, function, &self.btf, attach)?)
    }

    /// The descriptor of a map, for what aya does not offer.
    pub fn map(&self, name: &str) -> Result<BorrowedFd<'_>, ObjectError> {
        self.aya.map(name).and_then(descriptor).ok_or_else(|| ObjectError::Missing(name.to_owned()))
    }
}

fn descriptor(map: &Map) -> Option<BorrowedFd<'_>> {
    match map {
        Map::Array(data)
        | Map::PerCpuArray(data)
        | Map::HashMap(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Some(data.fd().as_fd()),
        _ => None,
    }
}
