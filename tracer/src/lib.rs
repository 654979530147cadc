//! The engine: finds the processes, attaches probes, reads snapshots, symbolizes, and writes a recording.

pub mod accounting;
pub mod allocator;
pub mod bpf;
pub mod heap;
pub mod image;
pub mod launch;
pub mod locate;
pub mod maps;
pub mod placement;
pub mod process;
pub mod rung;
pub mod symbolize;
pub mod tally;
pub mod unwind;
pub mod unwind_maps;
