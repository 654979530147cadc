//! Fewer snapshots, for whoever holds a recording in memory while it grows.

use super::{Recording, Snapshot, StackCounters, reader::weight};

impl Recording {
    /// Estimated memory of the snapshots in bytes.
    pub fn snapshot_bytes(&self) -> usize {
        let whole = |snapshot: &Snapshot| size_of::<Snapshot>() + weight::of_snapshot(snapshot);
        self.snapshots.iter().map(whole).sum()
    }

    /// Leaves out every second snapshot between the first and the last, and says how many those were. The one that follows
    /// takes over their changes, so that it holds what it held.
    pub fn thin_out(&mut self) -> usize {
        let all = std::mem::take(&mut self.snapshots);
        let (before, last) = (all.len(), all.len().saturating_sub(1));
        let mut left_out = Vec::new();
        for (at, mut snapshot) in all.into_iter().enumerate() {
            if at != 0 && (last - at) % 2 == 1 {
                left_out = snapshot.stacks;
                continue;
            }
            snapshot.stacks = take_over(std::mem::take(&mut left_out), snapshot.stacks);
            self.snapshots.push(snapshot);
        }
        before - self.snapshots.len()
    }
}

/// What a snapshot tells, and of stacks that it does not tell of what the one before it told, in the order of their ids.
pub(crate) fn take_over(before: Vec<StackCounters>, after: Vec<StackCounters>) -> Vec<StackCounters> {
    let mut stacks = after;
    stacks.extend(before); // stable: the later one comes first
    stacks.sort_by_key(|counters| counters.id);
    stacks.dedup_by_key(|counters| counters.id);
    stacks
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stack 1 changes in every snapshot, the others once each.
    fn recording(snapshots: u64) -> Recording {
        let mut recording = Recording::default();
        for at in 0..snapshots {
            let stack = |id, live_bytes| StackCounters { id, live_bytes, ..StackCounters::default() };
            let own = u32::try_from(at).unwrap() + 2;
            let stacks = vec![stack(1, at), stack(own, 7)];
            recording.push(super::super::Record::Snapshot(Snapshot {
                time_ns: at,
                stacks,
                ..Snapshot::default()
            }));
        }
        recording
    }

    #[test]
    fn what_is_left_tells_the_same_of_every_stack_as_before() {
        for count in 0..40 {
            let whole = recording(count);
            let mut thinned = whole.clone();
            assert_eq!(thinned.thin_out() + thinned.snapshots.len(), whole.snapshots.len());
            assert!(thinned.snapshot_bytes() <= whole.snapshot_bytes());
            let ends = |recording: &Recording| {
                [
                    recording.snapshots.first().map(|one| one.time_ns),
                    recording.snapshots.last().map(|one| one.time_ns),
                ]
            };
            assert_eq!(ends(&thinned), ends(&whole), "{count}");
            let mut known = std::collections::HashMap::new();
            for snapshot in &thinned.snapshots {
                known.extend(snapshot.stacks.iter().map(|stack| (stack.id, stack.live_bytes)));
                assert_eq!(known[&1], snapshot.time_ns, "{count}");
                assert_eq!(known.len() as u64, snapshot.time_ns + 2, "{count}");
            }
        }
        let mut long = recording(1000);
        assert_eq!(long.thin_out(), 499);
    }
}
