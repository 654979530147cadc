//! From a recording to an answer.

pub mod analysis;
pub mod html;
pub mod recording;

pub use analysis::{Options, analyze};
