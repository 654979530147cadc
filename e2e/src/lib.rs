//! A real API server, a real cluster, and the tests that need one.

pub mod cluster;
pub mod image;
pub mod pki;
pub mod tools;
pub mod wait;
