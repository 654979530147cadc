//! The engine: finds the processes, attaches probes, reads snapshots, symbolizes, and writes a recording.

pub mod accounting;
pub mod allocator;
pub mod attachment;
pub mod block_stream;
pub mod blocks;
pub mod bpf;
pub mod budget;
pub mod calibrate;
pub mod capabilities;
pub mod causes;
pub mod descriptors;
pub mod followed;
pub mod forks;
pub mod growth;
pub mod heap;
pub mod image;
pub mod investigation;
pub mod kernel_memory;
pub mod kernel_side;
pub mod kernel_symbols;
pub mod launch;
pub mod locate;
pub mod maps;
pub mod modules;
pub mod placement;
pub mod process;
pub mod rung;
pub mod sampling;
pub mod settings;
pub mod slots;
pub mod stacks;
pub mod symbolize;
pub mod tally;
pub mod unwind;
pub mod unwind_maps;

#[cfg(test)]
mod specimen;
