//! Four ways to leak in safe Rust, each in a function of its own, between work that gives everything back.
//!
//! `rust-leaks [ROUNDS_PER_SECOND [SECONDS]]`, by default 50 rounds a second for 30 seconds; 0 seconds is for ever.

mod pace;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use pace::Pace;

/// A tree whose nodes know their parent as strongly as the parent knows them.
#[derive(Default)]
struct Node {
    parent: RefCell<Option<Rc<Node>>>,
    children: RefCell<Vec<Rc<Node>>>,
    _label: [u8; 32],
}

#[inline(never)]
fn leak_rc_cycle() {
    let parent = Rc::new(Node { _label: [1; 32], ..Node::default() });
    let child = Rc::new(Node { _label: [2; 32], ..Node::default() });
    child.parent.replace(Some(Rc::clone(&parent)));
    parent.children.borrow_mut().push(child);
}

/// Half of a pair of workers: each may wake the other, so each keeps the other alive.
struct Worker {
    partner: Mutex<Option<Arc<Worker>>>,
    _inbox: [u8; 128],
}

/// One half is made here, the other on the thread behind `workshop`, which also ties the knot.
#[inline(never)]
fn leak_arc_cycle(workshop: &Sender<Arc<Worker>>) {
    let first = Arc::new(Worker { partner: Mutex::new(None), _inbox: [1; 128] });
    // The workshop lives as long as the program; were it gone, this half would simply be dropped.
    drop(workshop.send(first));
}

#[inline(never)]
fn leak_arc_partner(first: Arc<Worker>) {
    let second = Arc::new(Worker { partner: Mutex::new(Some(Arc::clone(&first))), _inbox: [2; 128] });
    if let Ok(mut partner) = first.partner.lock() {
        *partner = Some(second);
    }
}

#[inline(never)]
fn leak_forgotten(round: u64) {
    std::mem::forget(black_box(vec![round; 32]));
}

#[inline(never)]
fn leak_box(round: u64) -> &'static str {
    Box::leak(format!("metric.requests.{round:0>200}").into_boxed_str())
}

/// No leak: parses a request into many small strings and drops them all.
#[inline(never)]
fn parse_request(round: u64) -> usize {
    let fields: HashMap<String, String> =
        (0..20).map(|field| (format!("field-{field}"), format!("value-{}", round + field))).collect();
    fields.values().map(String::len).sum()
}

/// No leak: a queue that forgets the oldest of 256 answers.
#[inline(never)]
fn keep_recent(answers: &mut VecDeque<Vec<u8>>, round: u64) {
    answers.push_back(vec![b'.'; 512 + usize::try_from(round % 512).unwrap_or(0)]);
    if answers.len() > 256 {
        answers.pop_front();
    }
}

fn main() {
    let mut pace = Pace::from_arguments(50.0, 30.0);
    let (workshop, orders) = mpsc::channel();
    let workshop_thread = thread::spawn(move || orders.into_iter().for_each(leak_arc_partner));
    let mut answers = VecDeque::new();
    while let Some(round) = pace.next_round() {
        leak_rc_cycle();
        leak_arc_cycle(&workshop);
        leak_forgotten(round);
        black_box(leak_box(round));
        black_box(parse_request(round));
        keep_recent(&mut answers, round);
    }
    drop(workshop);
    drop(workshop_thread.join());
}
