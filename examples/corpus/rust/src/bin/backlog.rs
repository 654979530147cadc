//! A channel without a bound between a fast producer and a slow consumer. Variant "bounded": the producer has to wait.

use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use corpus::Pace;

/// Makes a job and sends it: the channel's own blocks belong to the backlog too.
#[inline(never)]
fn submit_job(round: u64, send: impl FnOnce(Vec<u8>) -> bool) {
    let sent = send(vec![1; 200 + usize::try_from(round % 50).unwrap_or(0)]);
    assert!(sent, "the consumer lives as long as the program");
}

/// Does 100 jobs a second.
fn consume(jobs: Receiver<Vec<u8>>) {
    for job in jobs {
        thread::sleep(Duration::from_millis(10));
        drop(job);
    }
}

fn main() {
    let mut pace = Pace::from_arguments(300.0, 60.0);
    let (sender, jobs) = mpsc::channel();
    let (bounded_sender, bounded_jobs) = mpsc::sync_channel(50);
    let bounded = pace.variant() == "bounded";
    thread::spawn(move || consume(if bounded { bounded_jobs } else { jobs }));
    while let Some(round) = pace.next_round() {
        if bounded {
            submit_job(round, |job| bounded_sender.send(job).is_ok());
        } else {
            submit_job(round, |job| sender.send(job).is_ok());
        }
    }
}
