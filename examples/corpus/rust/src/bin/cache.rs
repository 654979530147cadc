//! A HashMap from request to answer: every request is new. Variant "bounded": beyond 1,000 entries the oldest is removed.

use std::collections::{HashMap, VecDeque};

use corpus::Pace;

#[derive(Default)]
struct Cache {
    answers: HashMap<String, String>,
    order: VecDeque<String>,
}

impl Cache {
    #[inline(never)]
    fn remember(&mut self, round: u64) {
        let request = format!("/articles/{round}");
        let answer = format!("answer to {request}: {}", ".".repeat(120));
        self.order.push_back(request.clone());
        self.answers.insert(request, answer);
    }

    #[inline(never)]
    fn evict(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.answers.remove(&oldest);
        }
    }
}

fn main() {
    let mut pace = Pace::from_arguments(400.0, 60.0);
    let bounded = pace.variant() == "bounded";
    let mut cache = Cache::default();
    while let Some(round) = pace.next_round() {
        cache.remember(round);
        if bounded && cache.answers.len() > 1000 {
            cache.evict();
        }
    }
}
