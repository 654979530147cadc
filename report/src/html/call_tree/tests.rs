use super::*;

fn frame(function: &str, line: u32) -> Frame {
    Frame { function: Some(function.to_owned()), line: Some(line), module: Some(3), ..Frame::default() }
}

fn stack(id: u32, frames: Vec<Frame>) -> Stack {
    Stack { id, frames, ..Stack::default() }
}

fn modules() -> Vec<Module> {
    vec![Module { id: 3, path: "/usr/bin/app".to_owned(), build_id: None }]
}

/// Function and line from the innermost frame out, by way of the tree.
fn walk(tree: &CallTree<'_>, stack: usize) -> Vec<(String, u32)> {
    let mut node = tree.leaves[stack];
    let mut frames = Vec::new();
    while node > 0 {
        let (parent, place) = tree.nodes[node - 1];
        let place = &tree.places[place];
        frames.push((tree.functions[place.function].to_string(), place.line));
        assert!(parent < node, "parents come before their children");
        node = parent;
    }
    frames
}

#[test]
fn shared_outer_frames_are_written_once_and_stacks_come_back() {
    let (main, run) = (frame("main", 1), frame("run", 2));
    let a = stack(0, vec![frame("leak", 3), run.clone(), main.clone()]);
    let b = stack(1, vec![frame("leak", 4), run.clone(), main.clone()]);
    let same = stack(2, a.frames.clone());
    let modules = modules();
    let tree = CallTree::build(&[&a, &b, &same], &modules, Mode::Heap);
    assert_eq!(tree.nodes.len(), 4); // main, run and two lines of leak
    assert_eq!(tree.functions.len(), 3);
    assert_eq!(tree.leaves[0], tree.leaves[2]);
    let names = |pairs: [(&str, u32); 3]| pairs.map(|(name, line)| (name.to_owned(), line));
    assert_eq!(walk(&tree, 0), names([("leak", 3), ("run", 2), ("main", 1)]));
    assert_eq!(walk(&tree, 1), names([("leak", 4), ("run", 2), ("main", 1)]));
}

#[test]
fn recursion_keeps_every_frame() {
    let deep = stack(0, (0..500).map(|_| frame("f", 1)).collect());
    let tree = CallTree::build(&[&deep], &[], Mode::Heap);
    assert_eq!((tree.places.len(), tree.nodes.len()), (1, 500));
    assert_eq!(walk(&tree, 0).len(), 500);
}

#[test]
fn a_stack_without_frames_is_the_root() {
    let empty = stack(0, Vec::new());
    assert_eq!(CallTree::build(&[&empty], &[], Mode::Heap).leaves, [0]);
}

#[test]
fn frames_without_a_name_are_named_by_their_place() {
    let known = Frame { module: Some(3), address: 0x1f20, ..Frame::default() };
    let unknown = Frame { module: Some(9), address: 0xffff_8161, ..Frame::default() };
    let other = Frame { module: Some(3), address: 0x1f28, ..Frame::default() };
    let stack = stack(0, vec![known, unknown, other]);
    let modules = modules();
    let tree = CallTree::build(&[&stack], &modules, Mode::Heap);
    let names: Vec<String> = walk(&tree, 0).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["app+0x1f20", "0xffff8161", "app+0x1f28"]);
    assert!(tree.places.iter().all(|place| !place.named));
}
