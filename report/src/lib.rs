//! From a recording to an answer.

pub mod recording;
