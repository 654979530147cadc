//! Several recordings as one profile: the counters at the end of each, below a frame that names its pod.

use std::collections::HashMap;

use leakhound_report::recording::{Frame, Header, Record, Recording, Snapshot};

/// Profiles, put together one recording at a time. Only what a profile shows is kept: no time, no memory.
#[derive(Debug, Default)]
pub(super) struct Combined {
    recording: Option<Recording>,
    counters: Snapshot,
    modules: u32,
    stacks: u32,
}

impl Combined {
    /// Adds the counters at the end of `recording` below a frame called `label`.
    pub(super) fn add(&mut self, label: &str, recording: &Recording) {
        let into = self.recording.get_or_insert_with(|| {
            let header: Header = recording.header.clone();
            Recording::new(header)
        });
        let mut modules = HashMap::new();
        for module in &recording.modules {
            self.modules += 1;
            modules.insert(module.id, self.modules);
            let mut module = module.clone();
            module.id = self.modules;
            into.push(Record::Module(module));
        }
        for history in recording.histories() {
            let Some(last) = history.last() else { continue };
            self.stacks += 1;
            let mut stack = history.stack.clone();
            stack.id = self.stacks;
            for frame in &mut stack.frames {
                frame.module = frame.module.and_then(|id| modules.get(&id).copied());
            }
            stack.frames.push(Frame { function: Some(label.to_owned()), ..Frame::default() });
            into.push(Record::Stack(stack));
            let mut counters = last.clone();
            counters.id = self.stacks;
            counters.cohorts.clear();
            self.counters.stacks.push(counters);
        }
    }

    /// The profile of all; `None` of nothing.
    pub(super) fn finish(self) -> Option<Recording> {
        let mut recording = self.recording?;
        recording.push(Record::Snapshot(self.counters));
        Some(recording)
    }
}
