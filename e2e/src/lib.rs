//! A real API server, a real cluster, and the tests that need one.
//!
//! Nothing here stands in for a part of Kubernetes. What has no part in a test is not started, and the test plays it: before
//! an API server alone it makes nodes and pods and writes their status.

pub mod actors;
pub mod apiserver;
pub mod binary;
pub mod chart;
pub mod cluster;
pub mod command;
pub mod demo;
pub mod examples;
pub mod image;
pub mod inquiry;
pub mod installation;
pub mod kubepod;
pub mod leaky;
pub mod pki;
pub mod ports;
pub mod privileges;
pub mod process;
pub mod product;
pub mod scratch;
pub mod testbed;
pub mod tools;
pub mod wait;

pub use apiserver::ApiServer;
pub use binary::binary;
