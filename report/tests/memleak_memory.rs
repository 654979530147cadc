//! Alone in its process, because it measures memory: a log much larger than the memory to read it with.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{self, BufRead, Read},
};

use leakhound_report::memleak::read_log;

/// Set `LEAKHOUND_LOG_MIB=1024` to try a larger one; the memory may not be larger then.
const LOG_MIB: u64 = 96;
const MOST_MIB: u64 = 96;

/// A log of libbpf-tools as it would be printed over weeks: ten stacks per snapshot, of which some come and go.
struct EndlessLog {
    size: u64,
    snapshot: u64,
    made: u64,
    text: Vec<u8>,
    read: usize,
}

impl EndlessLog {
    fn next_snapshot(&mut self) {
        use io::Write;
        self.text.clear();
        self.read = 0;
        let at = self.snapshot * 5;
        let (hour, minute, second) = (at / 3600 % 24, at / 60 % 60, at % 60);
        writeln!(self.text, "[{hour}:{minute}:{second}] Top 10 stacks with outstanding allocations:")
            .unwrap();
        for rank in 0..10_u64 {
            let stack = if rank < 5 { rank } else { rank + self.snapshot * 7 % 5000 };
            let bytes = (10 - rank) * 1_000_000 + self.snapshot;
            writeln!(self.text, "{bytes} bytes in {} allocations from stack", bytes / 64).unwrap();
            for depth in 0..12_u64 {
                let address = 0x5500_0000_0000 + stack * 0x1000 + depth * 0x10;
                writeln!(
                    self.text,
                    "\t{depth} [<{address:016x}>] shop::Cache<std::string>::insert_{stack}(int)+0x{depth:x} [/srv/app/shop]"
                )
                .unwrap();
            }
        }
        self.snapshot += 1;
        self.made += self.text.len() as u64;
    }
}

impl Read for EndlessLog {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for EndlessLog {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.text.len() && self.made < self.size {
            self.next_snapshot();
        }
        Ok(&self.text[self.read..])
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount;
    }
}

fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn memory_is_bounded_however_long_the_log_is() {
    let wished = std::env::var("LEAKHOUND_LOG_MIB").ok().map(|mib| mib.parse::<u64>().unwrap());
    let size = wished.unwrap_or(LOG_MIB) << 20;
    let before = peak_kib();
    let mut log = EndlessLog { size, snapshot: 0, made: 0, text: Vec::new(), read: 0 };
    let recording = read_log(&mut log).unwrap();
    let grew = peak_kib() - before;
    eprintln!(
        "{} MiB of log, {} snapshots of which {} are kept, {} stacks: {} MiB of memory",
        log.made >> 20,
        log.snapshot,
        recording.snapshots.len(),
        recording.stacks.len(),
        grew >> 10
    );
    assert!(log.made >= size && recording.stacks.len() > 5000);
    assert!(grew >> 10 < MOST_MIB, "{grew} KiB");
    let ledger = &recording.snapshots.last().unwrap().ledger;
    assert_eq!(
        recording.snapshots.len() as u64 + ledger.get("snapshotThinned").copied().unwrap_or_default(),
        log.snapshot
    );
    assert!(recording.skipped.is_empty());
}
