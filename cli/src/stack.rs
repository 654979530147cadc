//! A stack as lines of text: the program's own line first, what surrounds it folded.

use leakhound_report::{amount, analysis::Frame, origin};

use crate::table::visible;

/// Most frames shown under a stack's first; the reports have them all.
const FRAMES: usize = 12;

/// A stack, a line a frame. The first is the innermost of the program's own, which names the stack in every report; what lies
/// between it and the allocator or the kernel is folded, and so is what surrounds every program.
pub(crate) fn stack_lines(frames: &[Frame]) -> Vec<String> {
    let own = origin::own(frames);
    let Some(title) = own.iter().position(|own| *own) else {
        let lines: Vec<String> = frames.iter().take(FRAMES + 1).map(line).collect();
        return cut(lines, frames.len().saturating_sub(FRAMES + 1));
    };
    let mut lines = vec![line(&frames[title])];
    lines.extend(through(&frames[..title]));
    let in_kernel = frames.iter().any(|frame| frame.module == "[kernel]");
    let around = if in_kernel { "the way into the kernel" } else { "the runtime" };
    let (mut folded, mut shown) = (0, 1);
    for (index, frame) in frames.iter().enumerate().skip(title + 1) {
        if !own[index] {
            folded += 1;
            continue;
        }
        if shown > FRAMES {
            fold(&mut lines, &mut folded, around);
            return cut(lines, frames.len() - index);
        }
        fold(&mut lines, &mut folded, around);
        lines.push(line(frame));
        shown += 1;
    }
    fold(&mut lines, &mut folded, around);
    lines
}

fn cut(mut lines: Vec<String>, more: usize) -> Vec<String> {
    match (more, lines.is_empty()) {
        (0, true) => lines.push("(no frames)".into()),
        (0, false) => {}
        _ => lines.push(format!("... {more} more")),
    }
    lines
}

/// What the program called to get there.
fn through(inner: &[Frame]) -> Option<String> {
    let last = shorten(&visible(&inner.first()?.function));
    Some(format!("... in {last} ({} of the runtime)", frames(inner.len())))
}

fn fold(lines: &mut Vec<String>, folded: &mut usize, around: &str) {
    match std::mem::take(folded) {
        0 => {}
        count => lines.push(format!("... {} of {around}", frames(count))),
    }
}

fn frames(count: usize) -> String {
    amount::counted(count, "frame", "frames")
}

fn line(frame: &Frame) -> String {
    let function = shorten(&visible(&frame.function));
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("  {}:{line}", visible(short_path(file))),
        (Some(file), None) => format!("  {}", visible(short_path(file))),
        // `module+0xoffset` stands for a name already
        _ if frame.module.is_empty() || frame.function.contains("+0x") => String::new(),
        // a kernel stack is the kernel's, and its modules are in brackets as they are
        _ if frame.module == "[kernel]" => String::new(),
        _ if frame.module.starts_with('[') => format!("  {}", visible(&frame.module)),
        _ => format!("  [{}]", visible(file_name(&frame.module))),
    };
    let inlined = if frame.inlined { " (inlined)" } else { "" };
    format!("{function}{place}{inlined}")
}

/// A name without the arguments of its templates or generics, and not longer than a line: `Cache<..>::insert`.
fn shorten(name: &str) -> String {
    const LONGEST: usize = 72;
    let mut short = String::with_capacity(name.len());
    let mut depth = 0_usize;
    let mut before = ' ';
    for c in name.chars() {
        match c {
            // `operator<`, and Rust's `<T as Trait>::f`, begin nothing that can be left out
            '<' if !short.is_empty() && !short.ends_with("operator") && depth == 0 && before != ' ' => {
                short.push_str("<..>");
                depth = 1;
            }
            '<' if depth > 0 => depth += 1,
            '>' if depth > 0 && before != '-' => depth -= 1,
            c if depth == 0 => short.push(c),
            _ => {}
        }
        before = c;
    }
    match short.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &short[..end]),
        None => short,
    }
}

/// The last two parts of a path: enough to know a source file.
fn short_path(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/');
    match (slashes.next(), slashes.next()) {
        (Some(_), Some((second, _))) => &path[second + 1..],
        _ => path,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_templates_add() {
        assert_eq!(
            shorten("std::vector<int, std::allocator<int> >::push_back(int)"),
            "std::vector<..>::push_back(int)"
        );
        assert_eq!(shorten("operator<(a, b)"), "operator<(a, b)");
        assert_eq!(shorten("<shop::Cart as core::ops::Drop>::drop"), "<shop::Cart as core::ops::Drop>::drop");
        assert_eq!(shorten("f<fn(i32) -> i32>(x)"), "f<..>(x)");
        assert_eq!(shorten(&"x".repeat(100)).len(), 75);
    }

    fn frame(function: &str, file: Option<&str>) -> Frame {
        let (file, line) = (file.map(Into::into), file.map(|_| 7));
        Frame { function: function.into(), file, line, ..Frame::default() }
    }

    #[test]
    fn the_programs_own_first_line_comes_first_and_the_runtime_is_folded() {
        let libc = |function: &str| Frame { module: "/lib/libc.so.6".into(), ..frame(function, None) };
        let frames = [
            libc("__memset_avx2"),
            libc("calloc"),
            frame("keep_here", Some("src/cache.c")),
            frame("main", Some("src/main.c")),
            libc("__libc_start_call_main"),
            frame("_start", None),
        ];
        assert_eq!(
            stack_lines(&frames),
            [
                "keep_here  src/cache.c:7",
                "... in __memset_avx2 (2 frames of the runtime)",
                "main  src/main.c:7",
                "... 2 frames of the runtime",
            ]
        );
        assert_eq!(
            stack_lines(&frames[1..3]),
            ["keep_here  src/cache.c:7", "... in calloc (1 frame of the runtime)"]
        );
        // where nothing is the program's own, everything is shown
        assert_eq!(stack_lines(&frames[..2]), ["__memset_avx2  [libc.so.6]", "calloc  [libc.so.6]"]);
        assert_eq!(stack_lines(&[]), ["(no frames)"]);
    }

    #[test]
    fn a_long_stack_is_cut() {
        let frames: Vec<Frame> = (0..20).map(|n| frame(&format!("f{n}"), None)).collect();
        let lines = stack_lines(&frames);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (FRAMES + 2, "... 7 more"));
    }

    #[test]
    fn paths_are_cut_to_what_names_a_file() {
        assert_eq!(short_path("/usr/src/app/main.c"), "app/main.c");
        assert_eq!(short_path("main.c"), "main.c");
        assert_eq!(short_path("src/main.c"), "src/main.c");
    }
}
