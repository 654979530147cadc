//! The stacks of a recording: from addresses in a process to numbered, symbolized, written-once stacks.

use std::collections::{BTreeMap, HashMap};

use leakhound_ebpf::abi::{self, ProcessNumber, WalkEnd};
use leakhound_report::recording::{Frame, Stack};

use crate::{
    allocator::hook_name,
    followed::Followed,
    modules::Modules,
    symbolize::{Symbolizer, plumbing},
};

/// A place in a program that does not depend on where it was loaded: file number and virtual address in it, or no file
/// and the bare address.
pub type Place = (Option<u32>, u64);

/// Stacks by what they are, not by where they were seen.
#[derive(Default)]
pub struct Stacks {
    /// By the kernel's hash.
    by_hash: HashMap<u64, u32>,
    /// By allocator function and places: the same stack of two processes is one.
    by_places: HashMap<(u32, Vec<Place>), u32>,
    names: HashMap<Place, Vec<Frame>>,
    next: u32,
    /// Whose live blocks vanish with a process.
    by_process: HashMap<ProcessNumber, Vec<u64>>,
}

/// A stack as the kernel stored it, or the fact that it had no room.
pub type Raw = (u64, Option<abi::Stack>);

impl Stacks {
    /// The number of a hash already seen.
    pub fn id(&self, hash: u64) -> Option<u32> {
        self.by_hash.get(&hash).copied()
    }

    /// Forgets a process that is gone, and returns the hashes of its stacks with their numbers.
    pub fn forget(&mut self, process: ProcessNumber) -> HashMap<u64, u32> {
        let hashes = self.by_process.remove(&process).unwrap_or_default();
        hashes.into_iter().filter_map(|hash| Some((hash, self.by_hash.remove(&hash)?))).collect()
    }

    /// Numbers stacks seen for the first time and returns those that the recording does not have yet.
    pub fn add<'a>(
        &mut self,
        raw: &[Raw],
        processes: impl Iterator<Item = &'a Followed>,
        modules: &Modules,
        symbolizer: &mut Symbolizer,
    ) -> Vec<Stack> {
        let processes: HashMap<ProcessNumber, &Followed> =
            processes.map(|process| (process.number, process)).collect();
        let placed: Vec<_> = raw
            .iter()
            .map(|(hash, stack)| {
                (*hash, *stack, stack.map_or(Vec::new(), |stack| places(&stack, &processes)))
            })
            .collect();
        self.name_places(placed.iter().flat_map(|(_, _, places)| places), modules, symbolizer);

        let mut new = Vec::new();
        for (hash, stack, places) in placed {
            let hook = stack.map_or(u32::MAX, |stack| stack.hook);
            if let Some(stack) = stack {
                self.by_process.entry(ProcessNumber::from_raw(stack.process)).or_default().push(hash);
            }
            // Without frames nothing tells two lost stacks apart: they share one number.
            let id = *self.by_places.entry((hook, places.clone())).or_insert_with(|| {
                let id = self.next;
                self.next += 1;
                new.push(Stack {
                    id,
                    frames: frames(hook, &places, &self.names),
                    cut_short: cut_short(stack.map(|stack| stack.end)),
                });
                id
            });
            self.by_hash.insert(hash, id);
        }
        new
    }

    fn name_places<'a>(
        &mut self,
        places: impl Iterator<Item = &'a Place>,
        modules: &Modules,
        symbolizer: &mut Symbolizer,
    ) {
        let mut unnamed: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (module, address) in places {
            if let Some(module) = module
                && !self.names.contains_key(&(Some(*module), *address))
            {
                unnamed.entry(*module).or_default().push(*address);
            }
        }
        for (number, mut addresses) in unnamed {
            addresses.sort_unstable();
            addresses.dedup();
            let Some(module) = modules.get(number) else { continue };
            let named = symbolizer.frames(&module.image, module.debug.as_ref(), &addresses);
            for (address, mut frames) in addresses.into_iter().zip(named) {
                for frame in &mut frames {
                    frame.module = Some(number);
                    frame.address = address;
                }
                self.names.insert((Some(number), address), frames);
            }
        }
    }
}

/// Where each frame lies. All but the interrupted frame of a signal are return addresses, which point behind the call:
/// one less is inside it, so that the line is the call's own.
fn places(stack: &abi::Stack, processes: &HashMap<ProcessNumber, &Followed>) -> Vec<Place> {
    let length = (stack.length as usize).min(stack.address.len());
    let process = processes.get(&ProcessNumber::from_raw(stack.process));
    stack.address[..length]
        .iter()
        .map(|address| {
            let call = address.saturating_sub(1);
            process
                .and_then(|process| process.place(call))
                .map_or((None, *address), |(module, at)| (Some(module), at))
        })
        .collect()
}

fn frames(hook: u32, places: &[Place], names: &HashMap<Place, Vec<Frame>>) -> Vec<Frame> {
    let called = u16::try_from(hook).ok().map(|hook| Frame {
        function: Some(hook_name(hook).to_owned()),
        allocator: true,
        ..Frame::default()
    });
    let mut frames: Vec<Frame> = called.into_iter().collect();
    for place in places {
        match names.get(place) {
            Some(named) if !named.is_empty() => frames.extend(named.iter().cloned()),
            _ => frames.push(Frame { module: place.0, address: place.1, ..Frame::default() }),
        }
    }
    plumbing::mark(&mut frames);
    frames
}

fn cut_short(end: Option<u8>) -> Option<String> {
    let Some(end) = end else { return Some("no room in the kernel for its frames".into()) };
    let why = match end {
        end if end == WalkEnd::Complete as u8 => return None,
        end if end == WalkEnd::NoMapping as u8 => "a return address lies in no known mapping",
        end if end == WalkEnd::NoRows as u8 => "code without unwind information or frame pointer",
        end if end == WalkEnd::Unsupported as u8 => "an unwind rule that is not supported",
        end if end == WalkEnd::Unreadable as u8 => "stack memory that could not be read",
        end if end == WalkEnd::Truncated as u8 => "deeper than 96 frames",
        _ => "unknown",
    };
    Some(why.into())
}
