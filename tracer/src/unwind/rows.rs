//! Builds the table: rows in order of their address, and the page index over them.

use std::ops::Range;

use leakhound_ebpf::abi::{Cfa, Row};

use super::{
    MAX_PAGES, MAX_ROWS, PAGE_SHIFT, PAGE_SIZE, PageRows, UnwindError, UnwindStats, UnwindTable, code::Rows,
    rule::bare,
};

/// Assumes: addresses are pushed in rising order, from the first page's first byte on.
pub(super) struct Builder {
    first_address: u64,
    page_count: usize,
    rows: Vec<u64>,
    pages: Vec<PageRows>,
    last: Option<Row>,
}

impl Builder {
    /// A table from a page's first address to `end`; `None` when that spans more than [`MAX_PAGES`].
    pub(super) fn new(first_address: u64, end: u64) -> Option<Self> {
        let page_count = usize::try_from((end - first_address).div_ceil(PAGE_SIZE)).ok()?;
        (page_count <= MAX_PAGES).then(|| Self {
            first_address,
            page_count,
            rows: Vec::new(),
            pages: Vec::with_capacity(page_count),
            last: None,
        })
    }

    /// Addresses without unwind information: what was read from instructions there, and otherwise nothing.
    pub(super) fn between(&mut self, addresses: Range<u64>, inferred: &Rows) -> Result<(), UnwindError> {
        if addresses.is_empty() {
            return Ok(());
        }
        if !inferred.contains_key(&addresses.start) {
            self.push(addresses.start, bare(Cfa::None))?;
        }
        for (address, row) in inferred.range(addresses) {
            self.push(*address, *row)?;
        }
        Ok(())
    }

    /// `rule` holds from `address` on; its `pc_low` is set here.
    pub(super) fn push(&mut self, address: u64, rule: Row) -> Result<(), UnwindError> {
        if self.last == Some(rule) {
            return Ok(());
        }
        if self.rows.len() >= MAX_ROWS {
            return Err(UnwindError::TooManyRows(MAX_ROWS));
        }
        let relative = address - self.first_address;
        self.open_pages((relative >> PAGE_SHIFT) as usize + 1);
        let pc_low = (relative & (PAGE_SIZE - 1)) as u16;
        self.rows.extend(Row { pc_low, ..rule }.pack()); // `rule` fits: see rule::rule
        self.last = Some(rule);
        let end = self.row_count();
        if let Some(page) = self.pages.last_mut() {
            page.end = end;
        }
        Ok(())
    }

    /// The table, without unwind information from `end` to the last page's end.
    pub(super) fn finish(mut self, end: u64, stats: UnwindStats) -> Result<UnwindTable, UnwindError> {
        if !(end - self.first_address).is_multiple_of(PAGE_SIZE) {
            self.push(end, bare(Cfa::None))?;
        }
        self.open_pages(self.page_count);
        let stats = UnwindStats { rows: self.rows.len(), ..stats };
        Ok(UnwindTable { first_address: self.first_address, rows: self.rows, pages: self.pages, stats })
    }

    fn open_pages(&mut self, count: usize) {
        let next = self.row_count();
        if count > self.pages.len() {
            self.pages.resize(count, PageRows { first: next, end: next });
        }
    }

    fn row_count(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX) // at most MAX_ROWS
    }
}
