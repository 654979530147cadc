//! The API as the chart installs it, on a real API server: what users may write and read, and what nobody may.

#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests, in functions of several files")]

mod admission;
mod agents;
mod columns;
mod examples;
mod parsing;
mod pod_security;
mod rights;
mod schema;
mod status;
mod support;
mod tokens;
mod unchanging;
