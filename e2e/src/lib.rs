//! A real API server, a real cluster, and the tests that need one.

pub mod binary;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod examples;
pub mod image;
pub mod inquiry;
pub mod installation;
pub mod leaky;
pub mod pki;
pub mod product;
pub mod testbed;
pub mod tools;
pub mod wait;
