//! The frames of a stack as a person wants to see them.

use std::{borrow::Cow, collections::HashMap};

use crate::recording::{self, Module};

use super::Frame;

/// Paths of modules by id.
pub(crate) struct Paths<'a>(HashMap<u32, &'a str>);

impl<'a> Paths<'a> {
    pub(crate) fn of(modules: &'a [Module]) -> Self {
        Self(modules.iter().map(|module| (module.id, module.path.as_str())).collect())
    }

    /// Path of the module of a frame; empty when unknown.
    pub(crate) fn module(&self, frame: &recording::Frame) -> &'a str {
        frame.module.and_then(|id| self.0.get(&id)).copied().unwrap_or_default()
    }

    /// Name of the function of a frame, or where it is.
    pub(crate) fn function<'f>(&self, frame: &'f recording::Frame) -> Cow<'f, str> {
        match &frame.function {
            Some(function) => Cow::Borrowed(function),
            None => Cow::Owned(place(self.module(frame), frame.address)),
        }
    }
}

/// The frames from the allocator's caller outwards, or all of them when asked for, or when there are no others.
pub(crate) fn shown(frames: &[recording::Frame], paths: &Paths<'_>, all: bool) -> Vec<Frame> {
    visible(frames, all).map(|frame| show(frame, paths)).collect()
}

/// The same frames as they were recorded.
pub(crate) fn visible(frames: &[recording::Frame], all: bool) -> impl Iterator<Item = &recording::Frame> {
    let only_allocator = frames.iter().all(|frame| frame.allocator);
    frames.iter().filter(move |frame| all || only_allocator || !frame.allocator)
}

fn show(frame: &recording::Frame, paths: &Paths<'_>) -> Frame {
    Frame {
        function: paths.function(frame).into_owned(),
        module: paths.module(frame).to_owned(),
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
