//! Values that are written once and named by their place.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use foldhash::fast::RandomState;

/// Values by the order in which they were first seen.
pub(super) struct Table<T> {
    pub(super) values: Vec<T>,
    indices: HashMap<T, usize, RandomState>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { values: Vec::new(), indices: HashMap::with_hasher(RandomState::default()) }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    /// The place of a value, which is the next one when it is new.
    pub(super) fn index(&mut self, value: T) -> usize {
        match self.indices.entry(value) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.values.push(entry.key().clone());
                *entry.insert(self.values.len() - 1)
            }
        }
    }
}
