//! The frames of a stack as a person wants to see them.

use std::{borrow::Cow, collections::HashMap};

use crate::recording::{self, Module};

use super::{Frame, Texts};

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
pub(crate) fn shown(
    frames: &[recording::Frame],
    paths: &Paths<'_>,
    all: bool,
    texts: &mut Texts,
) -> Vec<Frame> {
    visible(frames, all).map(|frame| show(frame, paths, texts)).collect()
}

/// The same frames as they were recorded.
pub(crate) fn visible(frames: &[recording::Frame], all: bool) -> impl Iterator<Item = &recording::Frame> {
    let only_allocator = frames.iter().all(|frame| frame.allocator);
    frames.iter().filter(move |frame| all || only_allocator || !frame.allocator)
}

fn show(frame: &recording::Frame, paths: &Paths<'_>, texts: &mut Texts) -> Frame {
    Frame {
        function: texts.share(&paths.function(frame)),
        module: texts.share(paths.module(frame)),
        file: frame.file.as_deref().map(|file| texts.share(file)),
        line: frame.line,
        inlined: frame.inlined,
        address: format!("{:#x}", frame.address),
    }
}

/// Where a function without a name is: `libfoo.so+0x12`, or the bare address outside every module.
fn place(module: &str, address: u64) -> String {
    /// Bytes of a file's name that a system gives. Nearly every such place is another text, so a longer name would be in
    /// memory again and again.
    const LONGEST_FILE_NAME: usize = 255;
    match module.rsplit('/').next() {
        Some(file) if !file.is_empty() => {
            format!("{}+{address:#x}", &file[..file.floor_char_boundary(LONGEST_FILE_NAME)])
        }
        _ => format!("{address:#x}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_frames_have_in_common_is_in_memory_once() {
        let path = format!("/{}/app", "deep/".repeat(800));
        let modules = [Module { id: 1, path: path.clone(), build_id: None }];
        let paths = Paths::of(&modules);
        let frame = |at: usize| recording::Frame {
            function: [None, Some("f1"), Some("f2")][at % 3].map(str::to_owned),
            file: Some("src/cache.c".to_owned()),
            module: Some(1),
            address: at as u64 % 3,
            ..recording::Frame::default()
        };
        let mut texts = Texts::default();
        let stacks: Vec<_> = (0..100)
            .map(|from| shown(&(from..from + 60).map(frame).collect::<Vec<_>>(), &paths, false, &mut texts))
            .collect();
        let all = stacks.iter().flatten();
        let in_memory: HashSet<_> = all
            .flat_map(|frame| [&frame.function, &frame.module, frame.file.as_ref().unwrap()])
            .map(|text| text.as_ptr())
            .collect();
        assert_eq!(in_memory.len(), 5, "f1, f2, app+0x0, the module and the file");
        assert_eq!(stacks[0][0].module, path.as_str());
        assert_eq!(stacks[0][0].function, "app+0x0");
    }

    #[test]
    fn a_place_is_short_whatever_the_module_is_called() {
        assert_eq!(place("/usr/lib/libfoo.so.1", 0x12), "libfoo.so.1+0x12");
        assert_eq!(place("", 0x12), "0x12");
        assert_eq!(place(&"é".repeat(1 << 20), 0x12).len(), 254 + "+0x12".len());
    }
}
