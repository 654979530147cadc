//! `kubectl leak` against a real API server. What the operator does for an investigation, the test does: it writes statuses.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests, in functions of several files")]

mod doctor;
mod investigations;
mod refusals;
mod support;
