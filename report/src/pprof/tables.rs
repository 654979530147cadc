//! The tables of a profile: every string, function and location once, numbered in the order of their appearance.

use std::collections::HashMap;

use crate::{
    analysis::Paths,
    recording::{Frame, Module},
};

use super::profile::{Function, Line, Location, Mapping};

/// The tables while they are filled.
pub(super) struct Tables<'a> {
    paths: Paths<'a>,
    strings: HashMap<String, i64>,
    /// Functions by name and source file.
    functions: HashMap<(i64, i64), u64>,
    /// Locations by mapping, address and lines.
    locations: HashMap<Location, u64>,
    /// Places in `mappings` by id of the module.
    mapping_of: HashMap<u32, usize>,
    mappings: Vec<Mapping>,
}

impl<'a> Tables<'a> {
    /// `offsets` says that addresses are offsets in the file, which a reader that has it may look up.
    pub(super) fn of(modules: &'a [Module], offsets: bool) -> Self {
        let mut tables = Self {
            paths: Paths::of(modules),
            strings: HashMap::from([(String::new(), 0)]),
            functions: HashMap::new(),
            locations: HashMap::new(),
            mapping_of: HashMap::new(),
            mappings: Vec::new(),
        };
        for (module, id) in modules.iter().zip(1..) {
            let filename = tables.string(&module.path);
            let build_id = tables.string(module.build_id.as_deref().unwrap_or_default());
            tables.mapping_of.insert(module.id, tables.mappings.len());
            // The range begins at 0 and grows with the locations in it. Readers look up names where there are none.
            let has_functions = !offsets;
            tables.mappings.push(Mapping { id, filename, build_id, has_functions, ..Mapping::default() });
        }
        tables
    }

    /// Number of a string.
    pub(super) fn string(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.strings.get(text) {
            return number;
        }
        let number = signed(self.strings.len() as u64);
        self.strings.insert(text.to_owned(), number);
        number
    }

    /// Numbers of the locations of a stack. Inlined frames share the location of the frame that they are in.
    pub(super) fn locations(&mut self, frames: &[&Frame]) -> Vec<u64> {
        frames.chunk_by(|frame, _| frame.inlined).map(|frames| self.location(frames)).collect()
    }

    fn location(&mut self, frames: &[&Frame]) -> u64 {
        let Some(frame) = frames.last() else { return 0 };
        let line = frames.iter().map(|frame| self.line(frame)).collect();
        let mapping = frame.module.and_then(|id| self.mapping_of.get(&id));
        let mut mapping = mapping.and_then(|&at| self.mappings.get_mut(at));
        if let Some(mapping) = &mut mapping {
            mapping.memory_limit = mapping.memory_limit.max(frame.address.saturating_add(1));
            mapping.has_functions |= frame.function.is_some();
            mapping.has_filenames |= frame.file.is_some();
            mapping.has_line_numbers |= frame.line.is_some();
            mapping.has_inline_frames |= frames.len() > 1;
        }
        let mapping_id = mapping.map_or(0, |mapping| mapping.id);
        let next = self.locations.len() as u64 + 1;
        let location = Location { id: 0, mapping_id, address: frame.address, line };
        *self.locations.entry(location).or_insert(next)
    }

    fn line(&mut self, frame: &Frame) -> Line {
        let name = self.paths.function(frame);
        let name = self.string(&name);
        let filename = self.string(frame.file.as_deref().unwrap_or_default());
        let next = self.functions.len() as u64 + 1;
        let function_id = *self.functions.entry((name, filename)).or_insert(next);
        Line { function_id, line: frame.line.map_or(0, i64::from) }
    }

    /// All tables as a profile holds them: mappings, locations, functions, strings.
    pub(super) fn into_parts(self) -> (Vec<Mapping>, Vec<Location>, Vec<Function>, Vec<String>) {
        let locations = self.locations.into_iter().map(|(location, id)| Location { id, ..location });
        let functions = self.functions.into_iter();
        let functions =
            functions.map(|((name, filename), id)| Function { id, name, system_name: name, filename });
        let mut strings: Vec<(String, i64)> = self.strings.into_iter().collect();
        strings.sort_unstable_by_key(|(_, number)| *number);
        let mut parts = (
            self.mappings,
            locations.collect::<Vec<_>>(),
            functions.collect::<Vec<_>>(),
            strings.into_iter().map(|(text, _)| text).collect(),
        );
        parts.1.sort_unstable_by_key(|location| location.id);
        parts.2.sort_unstable_by_key(|function| function.id);
        parts
    }
}

/// The format has signed numbers only.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
