//! Four threads append to a shared history that nobody reads. Variant "windowed": it keeps the newest 500 entries.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::thread;

use corpus::Pace;

type History = Arc<Mutex<VecDeque<Box<[u8; 240]>>>>;

#[inline(never)]
fn record_event(history: &History, windowed: bool) {
    let event = Box::new([1; 240]);
    if let Ok(mut history) = history.lock() {
        history.push_back(event);
        if windowed && history.len() > 500 {
            history.pop_front();
        }
    }
}

fn main() {
    let history = History::default();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let history = Arc::clone(&history);
            thread::spawn(move || {
                let mut pace = Pace::from_arguments(60.0, 60.0);
                let windowed = pace.variant() == "windowed";
                while pace.next_round().is_some() {
                    record_event(&history, windowed);
                }
            })
        })
        .collect();
    for worker in workers {
        assert!(worker.join().is_ok(), "no worker panics");
    }
}
