//! The ledger of a snapshot: what the kernel side counted, what follows from its counters, and what the tracer lost.

use std::collections::BTreeMap;

use leakhound_ebpf::abi::{Counters, Ledger};

use crate::{modules::Losses, symbolize::SymbolStats};

/// What the tracer itself counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own {
    pub(super) modules: Losses,
    pub(super) symbols: SymbolStats,
    /// Executable mappings that had no room in the kernel's table.
    pub(super) mappings_left_out: u64,
    /// Processes beyond the most that can be followed, or that could not be.
    pub(super) processes_left_out: u64,
    /// Times that followed processes forked, as far as that could be seen.
    pub(super) forks: u64,
    /// Processes that were followed later than at the start.
    pub(super) found_later: u64,
    /// Programs that did not run because they were running already on that CPU: nested interrupts.
    pub(super) nested_misses: u64,
    /// Bytes of pages that the slab allocator took: they are counted as objects.
    pub(super) slab_page_bytes: u64,
    /// Snapshots that began more than a tenth of the interval late.
    pub(super) late_snapshots: u64,
}

/// Everything by name. Allocations and complete walks are computed: counting each in the kernel would cost every event.
pub(super) fn compose(kernel: &BTreeMap<Ledger, u64>, sum: Counters, own: &Own) -> BTreeMap<String, u64> {
    let of = |entry: Ledger| kernel.get(&entry).copied().unwrap_or(0);
    let short = [
        Ledger::WalksNoMapping,
        Ledger::WalksNoRows,
        Ledger::WalksUnsupported,
        Ledger::WalksUnreadable,
        Ledger::WalksTruncated,
        Ledger::WalksReturnProbe,
    ];
    let walks = sum.allocated.count + of(Ledger::BlocksFull) + of(Ledger::CountersFull);
    let mut ledger: BTreeMap<String, u64> =
        kernel.iter().map(|(entry, count)| (entry.key().to_owned(), *count)).collect();
    let computed = [
        (Ledger::Allocations.key(), sum.allocated.count),
        (Ledger::Frees.key(), sum.freed.count),
        (Ledger::WalksComplete.key(), walks.saturating_sub(short.into_iter().map(of).sum())),
        ("modulesUnopened", own.modules.unopened),
        ("modulesMatchedByInode", own.modules.matched_by_inode),
        ("modulesUnsearched", own.modules.unsearched),
        ("modulesWithoutUnwindTable", own.modules.without_rows),
        ("unwindTablesFull", own.modules.tables_full),
        ("framesNamed", own.symbols.named),
        ("framesWithLine", own.symbols.with_line),
        ("framesUnnamed", own.symbols.unnamed),
        ("modulesWithoutSymbols", own.symbols.files_without_symbols),
        ("modulesWithDamagedSymbols", own.symbols.files_damaged),
        ("mappingsLeftOut", own.mappings_left_out),
        ("processesLeftOut", own.processes_left_out),
        ("childrenMissed", own.forks.saturating_sub(own.found_later)),
        ("nestedMisses", own.nested_misses),
        ("slabPageBytes", own.slab_page_bytes),
        ("lateSnapshots", own.late_snapshots),
    ];
    ledger.extend(computed.map(|(name, count)| (name.to_owned(), count)));
    ledger
}

#[cfg(test)]
mod tests {
    use leakhound_ebpf::abi::Amounts;

    use super::*;

    #[test]
    fn complete_walks_are_all_but_the_short_ones() {
        let kernel =
            BTreeMap::from([(Ledger::WalksNoRows, 3), (Ledger::BlocksFull, 2), (Ledger::UnmatchedFrees, 7)]);
        let amounts = |count| Amounts { count, ..Amounts::default() };
        let sum = Counters { allocated: amounts(10), freed: amounts(4) };
        let ledger = compose(&kernel, sum, &Own::default());
        assert_eq!(ledger["walksComplete"], 9);
        assert_eq!((ledger["allocations"], ledger["frees"], ledger["unmatchedFrees"]), (10, 4, 7));
    }
}
