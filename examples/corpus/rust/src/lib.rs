//! What all programs of the corpus share: their pace, and with the feature `jemalloc` their allocator.

#[path = "../../../rust-leaks/src/pace.rs"]
pub mod pace;

pub use pace::Pace;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
