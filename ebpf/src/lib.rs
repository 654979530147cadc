//! The kernel side of Leakhound: eBPF programs compiled from C at build time, and the structures both sides share.

pub mod abi;
