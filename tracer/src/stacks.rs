//! The stacks of a recording: from addresses in a process to numbered, symbolized, written-once stacks.

mod kernel;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    iter,
};

use leakhound_ebpf::abi::{self, KernelEvent, ProcessNumber, WalkEnd};
use leakhound_report::recording::{Frame, Stack};

use crate::{
    allocator::hook_name,
    followed::Followed,
    kernel_symbols::KernelSymbols,
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
    /// Kernel stacks by which the slab allocator takes pages: what becomes of these is counted as objects.
    refills: HashSet<u64>,
    /// Whose live blocks vanish with a process.
    by_process: HashMap<ProcessNumber, Vec<u64>>,
}

/// A stack as the kernel stored it, or the fact that it had no room.
pub type Raw = (u64, Option<abi::Stack>);

impl Stacks {
    /// Whether a hash was seen already.
    pub fn knows(&self, hash: u64) -> bool {
        self.by_hash.contains_key(&hash) || self.refills.contains(&hash)
    }

    /// Whether by this stack the slab allocator takes pages, so that its bytes are counted elsewhere.
    pub fn is_refill(&self, hash: u64) -> bool {
        self.refills.contains(&hash)
    }

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

    /// The same for stacks of the kernel.
    pub fn add_kernel(&mut self, raw: &[Raw], symbols: &mut KernelSymbols) -> Vec<Stack> {
        let mut addresses: Vec<u64> =
            raw.iter().flat_map(|(_, stack)| kernel::callers(stack.as_ref())).collect();
        addresses.sort_unstable();
        addresses.dedup();
        let names = symbols.frames(&addresses);

        let mut new = Vec::new();
        for (hash, stack) in raw {
            let callers = kernel::callers(stack.as_ref());
            let frames = callers.iter().filter_map(|address| names.get(address)).cloned();
            let mut frames: Vec<Frame> = frames.skip_while(kernel::is_tracing).collect();
            if stack.is_some_and(|stack| stack.hook == KernelEvent::Pages as u32)
                && kernel::is_refill(&frames)
            {
                self.refills.insert(*hash);
                continue;
            }
            let hook = stack.map_or(u32::MAX, |stack| stack.hook);
            let places = frames.iter().map(|frame| (frame.module, frame.address)).collect();
            let id = *self.by_places.entry((hook, places)).or_insert_with(|| {
                let id = self.next;
                self.next += 1;
                plumbing::mark_kernel(&mut frames);
                let cut_short = cut_short(stack.map(|stack| stack.end));
                new.push(Stack { id, frames: std::mem::take(&mut frames), cut_short });
                id
            });
            self.by_hash.insert(*hash, id);
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

/// Where each frame lies. All but an interrupted one are return addresses, which point behind the call: one less is inside it,
/// so that the line is the call's own.
fn places(stack: &abi::Stack, processes: &HashMap<ProcessNumber, &Followed>) -> Vec<Place> {
    let length = (stack.length as usize).min(stack.address.len());
    let process = processes.get(&ProcessNumber::from_raw(stack.process));
    let first = u64::from(stack.interrupted == 0);
    stack.address[..length]
        .iter()
        .zip(iter::once(first).chain(iter::repeat(1)))
        .map(|(address, behind)| {
            let call = address.saturating_sub(behind);
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
        end if end == WalkEnd::ReturnProbe as u8 => {
            "a return probe hides the caller: another tool is tracing this program"
        }
        _ => "unknown",
    };
    Some(why.into())
}
