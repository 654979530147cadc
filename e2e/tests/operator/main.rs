//! The real operator on a real API server; the tests play kubelet and agent.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "these are tests, in functions of several files"
)]

mod actors;
mod busy;
mod definitions;
mod failures;
mod handover;
mod late;
mod rig;
mod samples;
mod scale;
mod stores;
mod story;
mod uploads;
mod wishes;
