//! Real probes on real programs. Needs root: CI fails without it, a person is told what was skipped.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod allocators;
mod budget;
mod children;
mod closed_loop;
mod containers;
mod endings;
mod following;
mod growth;
mod hostile;
mod kernel;
mod sampling;
mod servers;
mod support;
