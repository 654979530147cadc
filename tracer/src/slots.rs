//! Room for processes in the kernel's tables: slots that are used again when their process has ended.

use leakhound_ebpf::abi::{MAX_PROCESSES, ProcessNumber};

/// The slots, and how often each was given away.
#[derive(Debug, Clone)]
pub struct Slots {
    /// Given back, the one that waited longest first.
    free: std::collections::VecDeque<u16>,
    given: Vec<u16>,
}

impl Default for Slots {
    fn default() -> Self {
        let free = (0..MAX_PROCESSES).filter_map(|slot| u16::try_from(slot).ok()).collect();
        Self { free, given: vec![0; MAX_PROCESSES] }
    }
}

impl Slots {
    /// A number that no process had before; `None` when as many are followed as can be.
    pub fn take(&mut self) -> Option<ProcessNumber> {
        let slot = self.free.pop_front()?;
        let given = self.given.get_mut(usize::from(slot))?;
        let number = ProcessNumber::new(slot, *given);
        *given = given.wrapping_add(1);
        Some(number)
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        MAX_PROCESSES - self.free.len()
    }

    /// Gives a slot back. Its process must have ended, and its probes must be off.
    pub fn give_back(&mut self, number: ProcessNumber) {
        self.free.push_back(number.slot());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_used_again_has_another_number() {
        let mut slots = Slots::default();
        let taken: Vec<ProcessNumber> = std::iter::from_fn(|| slots.take()).collect();
        assert_eq!((taken.len(), slots.taken()), (MAX_PROCESSES, MAX_PROCESSES));
        slots.give_back(taken[7]);
        let again = slots.take().unwrap();
        assert_eq!(again.slot(), 7);
        assert!(!taken.contains(&again));
        assert_eq!(slots.take(), None);
    }
}
