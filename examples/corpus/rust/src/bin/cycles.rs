//! An Rc cycle per round. Variant "weak": the way back is a Weak, and everything is given back.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use corpus::Pace;

#[derive(Default)]
struct Node {
    owner: RefCell<Option<Rc<Node>>>,
    parent: RefCell<Weak<Node>>,
    children: RefCell<Vec<Rc<Node>>>,
    _label: [u64; 8],
}

#[inline(never)]
fn build_pair(weak: bool) {
    let (parent, child) = (Rc::new(Node::default()), Rc::new(Node::default()));
    if weak {
        child.parent.replace(Rc::downgrade(&parent));
    } else {
        child.owner.replace(Some(Rc::clone(&parent)));
    }
    parent.children.borrow_mut().push(child);
}

fn main() {
    let mut pace = Pace::from_arguments(80.0, 60.0);
    let weak = pace.variant() == "weak";
    while pace.next_round().is_some() {
        build_pair(weak);
    }
}
