//! Who may start: one probe per container, two per node, ten in the cluster, the oldest investigation first.
//!
//! Pure, and computed anew from the API each time. An entry that is held up at its node holds up nobody elsewhere: it takes
//! a place of the cluster only when it could use it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

/// How many probes may be on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slots {
    /// On one container.
    pub(crate) container: usize,
    /// On one node.
    pub(crate) node: usize,
    /// In the cluster.
    pub(crate) cluster: usize,
}

/// What a probe takes: a place on a container, on a node, and in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Uid of the pod.
    pub(crate) pod: String,
    /// Name of the container.
    pub(crate) container: String,
    /// Name of the node.
    pub(crate) node: String,
}

/// A target that waits. The order of entries is the order of the queue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// When its investigation was made.
    pub(crate) since: Timestamp,
    /// Uid of its investigation.
    pub(crate) investigation: String,
    /// What it needs.
    pub(crate) place: Place,
}

/// Whether an entry may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Now.
    Now,
    /// Not before `ahead` others.
    Later { ahead: usize, full: Full },
}

/// What has no free slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Container,
    Node,
    Cluster,
}

/// The turn of every entry. `taken` are the places of the probes that are on.
pub(crate) fn turns<'a>(
    slots: Slots,
    taken: &[Place],
    waiting: &'a BTreeSet<Entry>,
) -> BTreeMap<&'a Entry, Turn> {
    let mut containers: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut nodes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut cluster = taken.len();
    for place in taken {
        *containers.entry((&place.pod, &place.container)).or_default() += 1;
        *nodes.entry(&place.node).or_default() += 1;
    }
    let mut held_up: BTreeMap<(u8, &str, &str), usize> = BTreeMap::new();
    let mut turns = BTreeMap::new();
    for entry in waiting {
        let place = &entry.place;
        let container = containers.entry((&place.pod, &place.container)).or_default();
        let node = nodes.entry(&place.node).or_default();
        let (full, key) = if *container >= slots.container {
            (Full::Container, (0, place.pod.as_str(), place.container.as_str()))
        } else if *node >= slots.node {
            (Full::Node, (1, place.node.as_str(), ""))
        } else if cluster >= slots.cluster {
            (Full::Cluster, (2, "", ""))
        } else {
            *container += 1;
            *node += 1;
            cluster += 1;
            turns.insert(entry, Turn::Now);
            continue;
        };
        let ahead = held_up.entry(key).or_default();
        turns.insert(entry, Turn::Later { ahead: *ahead, full });
        *ahead += 1;
    }
    turns
}

/// A place in the queue as a person reads it. Exact at the front; further back it moves in steps, for every change is a
/// write, and a thousand in the queue must not write a thousand times each time that one of them starts.
pub(crate) fn position(ahead: usize) -> String {
    match ahead + 1 {
        place @ 1..=5 => place.to_string(),
        place => {
            let magnitude = 10_usize.pow(place.ilog10());
            let step = [1, 2, 5].into_iter().map(|digit| digit * magnitude).rfind(|step| *step <= place);
            format!("over {}", step.unwrap_or(place).saturating_sub(1).max(5))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOTS: Slots = Slots { container: 1, node: 2, cluster: 4 };

    fn place(pod: &str, node: &str) -> Place {
        Place { pod: pod.to_owned(), container: "app".to_owned(), node: node.to_owned() }
    }

    fn entry(second: i64, investigation: &str, pod: &str, node: &str) -> Entry {
        Entry {
            since: Timestamp::from_second(second).unwrap(),
            investigation: investigation.to_owned(),
            place: place(pod, node),
        }
    }

    #[test]
    fn the_oldest_start_and_the_others_know_their_place() {
        let waiting = BTreeSet::from([
            entry(3, "c", "p1", "n1"),
            entry(1, "a", "p1", "n1"),
            entry(2, "b", "p2", "n1"),
            entry(4, "d", "p3", "n1"),
            entry(5, "e", "p4", "n1"),
            entry(6, "f", "p5", "n2"),
            entry(7, "g", "p6", "n3"),
            entry(8, "h", "p7", "n4"),
        ]);
        let turns: Vec<Turn> = turns(SLOTS, &[], &waiting).into_values().collect();
        let later = |ahead, full| Turn::Later { ahead, full };
        assert_eq!(
            turns,
            [
                Turn::Now,
                Turn::Now,
                later(0, Full::Container),
                later(0, Full::Node),
                later(1, Full::Node),
                Turn::Now,
                Turn::Now,
                later(0, Full::Cluster),
            ]
        );
    }

    #[test]
    fn places_far_back_are_rounded() {
        let texts: Vec<_> = [0, 4, 5, 9, 10, 11, 20, 49, 99, 998, 1999].map(position).into();
        assert_eq!(
            texts,
            [
                "1",
                "5",
                "over 5",
                "over 9",
                "over 9",
                "over 9",
                "over 19",
                "over 49",
                "over 99",
                "over 499",
                "over 1999"
            ]
        );
    }

    proptest! {
        #[test]
        fn limits_hold_and_nobody_waits_without_need(
            taken in prop::collection::vec((0..6_u8, 0..3_u8), 0..5),
            waiting in prop::collection::vec((0..20_i64, 0..6_u8, 0..3_u8), 0..30),
        ) {
            let place = |pod: u8, node: u8| place(&format!("p{pod}-{node}"), &format!("n{node}"));
            let taken: Vec<Place> = taken.into_iter().map(|(pod, node)| place(pod, node)).collect();
            let waiting: BTreeSet<Entry> = waiting
                .into_iter()
                .enumerate()
                .map(|(number, (since, pod, node))| Entry {
                    since: Timestamp::from_second(since).unwrap(),
                    investigation: number.to_string(),
                    place: place(pod, node),
                })
                .collect();
            let turns = turns(SLOTS, &taken, &waiting);
            prop_assert_eq!(turns.len(), waiting.len());
            let mut all = taken.clone();
            all.extend(turns.iter().filter(|(_, turn)| **turn == Turn::Now).map(|(entry, _)| entry.place.clone()));
            let count = |test: &dyn Fn(&Place) -> bool| all.iter().filter(|place| test(place)).count();
            for (entry, turn) in &turns {
                let place = &entry.place;
                let on_container = count(&|other| other == place);
                let on_node = count(&|other| other.node == place.node);
                match turn {
                    Turn::Now => {
                        prop_assert!(on_container <= SLOTS.container);
                        prop_assert!(on_node <= SLOTS.node);
                        prop_assert!(all.len() <= SLOTS.cluster);
                    }
                    Turn::Later { full: Full::Container, .. } => prop_assert!(on_container >= SLOTS.container),
                    Turn::Later { full: Full::Node, .. } => prop_assert!(on_node >= SLOTS.node),
                    Turn::Later { full: Full::Cluster, .. } => prop_assert!(all.len() >= SLOTS.cluster),
                }
            }
        }
    }
}
