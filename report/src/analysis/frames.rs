//! The frames of a stack as a person wants to see them.

use std::collections::HashMap;

use crate::recording::{self, Module};

use super::Frame;

/// Paths of modules by id.
pub(super) struct Paths<'a>(HashMap<u32, &'a str>);

impl<'a> Paths<'a> {
    pub(super) fn of(modules: &'a [Module]) -> Self {
        Self(modules.iter().map(|module| (module.id, module.path.as_str())).collect())
    }
}

/// The frames from the allocator's caller outwards, or all of them when asked for, or when there are no others.
pub(super) fn shown(frames: &[recording::Frame], paths: &Paths<'_>, all: bool) -> Vec<Frame> {
    let only_allocator = frames.iter().all(|frame| frame.allocator);
    frames
        .iter()
        .filter(|frame| all || only_allocator || !frame.allocator)
        .map(|frame| show(frame, paths))
        .collect()
}

fn show(frame: &recording::Frame, Paths(paths): &Paths<'_>) -> Frame {
    let module = frame.module.and_then(|id| paths.get(&id)).copied().unwrap_or_default();
    Frame {
        function: frame.function.clone().unwrap_or_else(|| place(module, frame.address)),
        module: module.to_owned(),
        file: frame.file.clone(),
        line: frame.line,
        inlined: frame.inlined,
        address: format!("{:#x}", frame.address),
    }
}

/// Where a function without a name is: `libfoo.so+0x12`, or the bare address outside every module.
fn place(module: &str, address: u64) -> String {
    match module.rsplit('/').next() {
        Some(file) if !file.is_empty() => format!("{file}+{address:#x}"),
        _ => format!("{address:#x}"),
    }
}
