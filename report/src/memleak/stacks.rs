//! Keeps each frame and each stack of a log once, and knows it again in the next snapshot.

use std::{collections::HashMap, fmt::Write};

use crate::recording::{self, Module, Stack};

use super::{
    place::{Frame, KERNEL},
    symbol,
};

/// Most stacks that are kept apart. The tools themselves keep 10,240 unless told otherwise.
const MOST_STACKS: usize = 1 << 16;
/// Most text of frames in bytes.
const MOST_TEXT: usize = 64 << 20;

/// The stacks of one run. A stack is its frames, and a frame is its text: function, offset and module. Addresses count
/// only where there is no function, since one call has another address in every process.
#[derive(Debug, Clone, Default)]
pub(super) struct Stacks {
    frame_ids: HashMap<String, u32>,
    frames: Vec<recording::Frame>,
    module_ids: HashMap<String, u32>,
    stack_ids: HashMap<Vec<u32>, u32>,
    text_bytes: usize,
    key: String,
}

impl Stacks {
    /// The number of a frame; none when there is no room for another.
    pub(super) fn frame(&mut self, frame: &Frame<'_>) -> Option<u32> {
        self.key.clear();
        if let (None, Some(address)) = (frame.place.function, frame.address) {
            _ = write!(self.key, "{address:#x} "); // a String takes everything
        }
        self.key.push_str(frame.place.text);
        if let Some(&id) = self.frame_ids.get(&self.key) {
            return Some(id);
        }
        // Twice: the key, and the name made of it.
        self.text_bytes += 2 * self.key.len() + size_of::<recording::Frame>();
        if self.text_bytes > MOST_TEXT {
            return None;
        }
        let id = number(self.frames.len());
        let module = frame.place.module.map(|path| self.module(path));
        self.frames.push(recording::Frame {
            function: frame.place.function.map(symbol::readable),
            module,
            file: frame.place.file.map(str::to_owned),
            line: frame.place.line,
            address: frame.address.unwrap_or_default(),
            ..recording::Frame::default()
        });
        self.frame_ids.insert(self.key.clone(), id);
        Some(id)
    }

    fn module(&mut self, path: &str) -> u32 {
        let next = number(self.module_ids.len());
        *self.module_ids.entry(path.to_owned()).or_insert(next)
    }

    /// The number of a stack, given the numbers of its frames; none when there is no room for another.
    pub(super) fn stack(&mut self, frames: Vec<u32>) -> Option<u32> {
        if let Some(&id) = self.stack_ids.get(&frames) {
            return Some(id);
        }
        if self.stack_ids.len() == MOST_STACKS {
            return None;
        }
        let id = self.len();
        self.stack_ids.insert(frames, id);
        Some(id)
    }

    /// How many stacks are known; the next new one gets this number.
    pub(super) fn len(&self) -> u32 {
        number(self.stack_ids.len())
    }

    /// Raw address of a frame, where it was printed.
    pub(super) fn address(&self, frame: u32) -> Option<u64> {
        self.frames.get(frame as usize).map(|frame| frame.address)
    }

    /// Whether some other stack begins with the frames of this one: then this may be what is left of it.
    pub(super) fn is_begin_of_another(&self, stack: u32) -> bool {
        let frames = self.stack_ids.iter().find_map(|(frames, &id)| (id == stack).then_some(frames));
        frames.is_some_and(|frames| {
            self.stack_ids.keys().any(|other| other.len() > frames.len() && other.starts_with(frames))
        })
    }

    /// Whether the innermost frame of a stack is in the kernel.
    pub(super) fn any_in_kernel(&self) -> bool {
        self.stack_ids.keys().filter_map(|frames| self.frames.get(*frames.first()? as usize)).any(|frame| {
            // x86-64 and AArch64 map the kernel into the upper half
            frame.address >> 63 == 1 || frame.module.is_some() && frame.module == self.kernel()
        })
    }

    fn kernel(&self) -> Option<u32> {
        self.module_ids.get(KERNEL).copied()
    }

    /// Modules and stacks as a recording has them, by number. `mark` says which frames are the allocator's.
    pub(super) fn into_records(self, mark: impl Fn(&mut [recording::Frame])) -> (Vec<Module>, Vec<Stack>) {
        let mut modules: Vec<Module> =
            self.module_ids.into_iter().map(|(path, id)| Module { id, path, build_id: None }).collect();
        modules.sort_unstable_by_key(|module| module.id);
        let frame = |id: u32| self.frames.get(id as usize).cloned().unwrap_or_default();
        let describe = |(ids, id): (Vec<u32>, u32)| {
            let mut frames: Vec<_> = ids.into_iter().map(frame).collect();
            mark(&mut frames);
            let cut_short = frames.is_empty().then(|| "memleak lost the frames of this stack".to_owned());
            Stack { id, frames, cut_short }
        };
        let mut stacks: Vec<Stack> = self.stack_ids.into_iter().map(describe).collect();
        stacks.sort_unstable_by_key(|stack| stack.id);
        (modules, stacks)
    }
}

/// The next number; the limits keep it far from the largest.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
