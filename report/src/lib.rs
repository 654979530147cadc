//! From a recording to an answer.

pub mod amount;
pub mod analysis;
pub mod html;
pub mod recording;

pub use analysis::{Options, analyze};
