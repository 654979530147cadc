//! Stacks as one tree of calls: what two stacks share from the outermost function inwards is written once.
//!
//! A node is (parent, place); a place is one line of code, or one unnamed address. In 10,000 stacks of 40 frames this
//! leaves a quarter of the frames, each two small integers.

use std::{borrow::Cow, collections::HashMap};

use foldhash::fast::RandomState;

use crate::{
    origin::{self, Origin},
    recording::{Frame, Mode, Module, Stack},
    shorten,
};

use super::table::Table;

/// All stacks of a recording as one tree; node 0 is the root, and parents come before their children.
pub(super) struct CallTree<'a> {
    pub(super) functions: Vec<Cow<'a, str>>,
    pub(super) files: Vec<Cow<'a, str>>,
    /// Ids of the modules used, as in the recording.
    pub(super) modules: Vec<u32>,
    pub(super) places: Vec<Place>,
    /// Parent and place of each node but the root.
    pub(super) nodes: Vec<(usize, usize)>,
    /// Node of the innermost frame of each stack, 0 when the stack is empty.
    pub(super) leaves: Vec<usize>,
}

/// One line of code in one function, as indices into the tree's tables.
pub(super) struct Place {
    pub(super) function: usize,
    pub(super) file: Option<usize>,
    pub(super) line: u32,
    pub(super) module: Option<usize>,
    pub(super) inlined: bool,
    /// Has a name, and not only an address.
    pub(super) named: bool,
    pub(super) origin: Origin,
}

/// What makes two frames the same place. The address tells unnamed frames apart and nothing else.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    function: Result<&'a str, u64>,
    file: Option<&'a str>,
    line: Option<u32>,
    module: Option<u32>,
    inlined: bool,
    allocator: bool,
}

impl<'a> CallTree<'a> {
    /// Merges `stacks`, whose frames are innermost first, as a recording has them.
    pub(super) fn build(stacks: &[&'a Stack], modules: &'a [Module], mode: Mode) -> Self {
        let paths: HashMap<u32, &str> =
            modules.iter().map(|module| (module.id, module.path.as_str())).collect();
        let mut functions = Table::default();
        let mut files = Table::default();
        let mut used = Table::default();
        // Half a million look-ups: the standard hasher would take a third of the time to render. This one is seeded at
        // random too, so no recording can choose its collisions, and nothing here depends on the order of a map.
        let mut place_of = HashMap::with_hasher(RandomState::default());
        let mut places = Vec::new();
        let mut node_of = HashMap::with_hasher(RandomState::default());
        let mut nodes = Vec::new();
        let mut leaves = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let mut parent = 0;
            for (at, frame) in stack.frames.iter().enumerate().rev() {
                let place = *place_of.entry(key(frame)).or_insert_with(|| {
                    let path = frame.module.and_then(|id| paths.get(&id)).copied();
                    let name = name(frame, path);
                    let callee = at.checked_sub(1).and_then(|at| stack.frames.get(at)?.function.as_deref());
                    places.push(Place {
                        origin: if origin::is_entry_of_rust(&name, frame.file.as_deref(), callee) {
                            Origin::Runtime
                        } else {
                            origin::of(
                                &name,
                                frame.file.as_deref(),
                                path.unwrap_or_default(),
                                mode,
                                frame.allocator,
                            )
                        },
                        function: functions.index(name),
                        file: frame.file.as_deref().map(|file| files.index(shorten(file))),
                        line: frame.line.unwrap_or(0),
                        module: frame.module.map(|id| used.index(id)),
                        inlined: frame.inlined,
                        named: frame.function.is_some(),
                    });
                    places.len() - 1
                });
                parent = *node_of.entry((parent, place)).or_insert_with(|| {
                    nodes.push((parent, place));
                    nodes.len()
                });
            }
            leaves.push(parent);
        }
        Self { functions: functions.values, files: files.values, modules: used.values, places, nodes, leaves }
    }
}

fn key(frame: &Frame) -> Key<'_> {
    Key {
        function: frame.function.as_deref().ok_or(frame.address),
        file: frame.file.as_deref(),
        line: frame.line,
        module: frame.module,
        inlined: frame.inlined,
        allocator: frame.allocator,
    }
}

/// The function's name, or where it is when it has none.
fn name<'a>(frame: &'a Frame, module: Option<&str>) -> Cow<'a, str> {
    match (&frame.function, module) {
        (Some(function), _) => shorten(function),
        (None, Some(path)) => {
            let file = path.rsplit('/').next().unwrap_or(path);
            Cow::Owned(format!("{}+{:#x}", shorten(file), frame.address))
        }
        (None, None) => Cow::Owned(format!("{:#x}", frame.address)),
    }
}

#[cfg(test)]
mod tests;
