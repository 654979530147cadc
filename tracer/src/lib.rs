//! The engine: finds the processes, attaches probes, reads snapshots, symbolizes, and writes a recording.

pub mod bpf;
pub mod heap;
pub mod rung;
pub mod unwind_maps;
