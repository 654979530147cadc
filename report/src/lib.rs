//! From a recording to an answer.

pub mod amount;
pub mod analysis;
pub mod block_log;
pub mod diff;
pub mod folded;
pub mod function_name;
pub mod html;
pub mod memleak;
pub mod origin;
pub mod plumbing;
pub mod pprof;
pub mod recording;
mod shorten;
pub mod sniff;
pub mod stack_key;

pub use analysis::{Options, analyze};
pub use shorten::shorten;
