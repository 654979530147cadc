//! The API of Leakhound as types: what users wish for ([`LeakInvestigation`]), what the operator orders from a node
//! ([`LeakProbe`]), and the few names and formats that operator, agent and command line must agree on.
//!
//! This crate does no I/O and knows no other crate of Leakhound. `crdgen` prints what the types say as
//! `CustomResourceDefinition`s: rules, bounds and messages are written down once, beside the field.

#![allow(unreachable_pub, reason = "the schema derive copies public structs into its functions")]
#![allow(clippy::duplicated_attributes, reason = "several printed columns are of the same type")]

pub mod condition;
pub mod definition;
pub mod digest;
pub mod duration;
pub mod finding;
pub mod investigation;
pub mod names;
pub mod preflight;
pub mod probe;
pub mod quantity;
pub mod reference;
mod rules;

pub use condition::{Condition, ConditionStatus};
pub use digest::Digest;
pub use finding::{Finding, Frame, Verdict};
pub use investigation::{LeakInvestigation, LeakInvestigationSpec, LeakInvestigationStatus};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
pub use preflight::Preflight;
pub use probe::{LeakProbe, LeakProbeSpec, LeakProbeStatus};
pub use quantity::ByteQuantity;
