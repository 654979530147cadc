//! `leakhound diff`: what grew, shrank, appeared and went between two recordings.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use leakhound_report::{
    diff::{Caveat, Change, Diff, Side, StackDiff, Usage, diff},
    recording::Mode,
};

use crate::{Outcome, args, destination::Destination, human, report::load, stack::stack_lines, table};

pub(crate) fn compare(asked: &args::Diff) -> Result<Outcome> {
    let json = asked.json.as_deref().map(Destination::open).transpose()?;
    let to_stdout = json.as_ref().is_some_and(Destination::is_stdout);
    let found = diff(&load(&asked.before)?, &load(&asked.after)?);
    if let Some(json) = json {
        let mut bytes = serde_json::to_vec_pretty(&found).context("cannot write the differences as JSON")?;
        bytes.push(b'\n');
        json.write(&bytes)?;
    }
    if !to_stdout {
        Destination::Stdout.write(text(&found, asked.top).as_bytes())?;
    }
    Ok(Outcome::Worked)
}

fn text(found: &Diff, top: usize) -> String {
    let side = |name: &str, side: &Side| {
        format!(
            "{name}  {} live, {} in {}: {}\n",
            table::estimate(side.total.live_bytes, error(&side.total)),
            human::bytes_per_hour(side.total.growth_bytes_per_hour),
            human::seconds(side.duration_seconds),
            table::visible(&side.command),
        )
    };
    let mut text = match found.caveats.as_slice() {
        [] => String::new(),
        [Caveat::DifferentModes, ..] => "These two cannot be compared stack by stack:\n".to_owned(),
        _ => "These two compare only in part:\n".to_owned(),
    };
    for caveat in &found.caveats {
        let _ = writeln!(text, "  - {}", warning(*caveat, &found.before, &found.after));
    }
    text += &side("before", &found.before);
    text += &side("after ", &found.after);
    let changed: Vec<&StackDiff> = found.stacks.iter().filter(|stack| stack.change != Change::Same).collect();
    if changed.is_empty() {
        let sampled = [&found.before, &found.after].into_iter().any(|side| side.sample_period_bytes > 0);
        let as_far = if sampled { ", as far as a sample can tell" } else { "" };
        let _ = writeln!(text, "\nNo stack grows faster or more slowly than before{as_far}.");
    }
    let in_part = found.caveats.iter().any(|caveat| *caveat <= Caveat::DifferentSampling);
    for stack in changed.iter().take(top) {
        let _ = write!(text, "\n{}", describe(stack, in_part));
    }
    if changed.len() > top {
        let _ = writeln!(text, "\n{} more changed: see --top or --json.", changed.len() - top);
    }
    text
}

fn warning(caveat: Caveat, before: &Side, after: &Side) -> String {
    match caveat {
        Caveat::DifferentModes => format!(
            "Before is of {}, after of {}: what is in one of them only was not watched in the other.",
            mode(before),
            mode(after)
        ),
        Caveat::LargestStacksOnly => {
            "One of them holds its largest stacks only: what is missing may just be smaller.".to_owned()
        }
        Caveat::DifferentSampling => format!(
            "Before {}, after {}: sums of a sample are estimates, differences within twice their error count as none, and what \
             is in one of them only may have been left out of the other.",
            followed(before),
            followed(after)
        ),
        Caveat::NoGrowth => "One of them has fewer than two snapshots: it has no growth.".to_owned(),
        Caveat::DifferentDurations => {
            "One of them is more than twice as long: what happens once at the start weighs less in it."
                .to_owned()
        }
    }
}

fn mode(side: &Side) -> &'static str {
    match side.mode {
        Mode::Heap => "heap mode, which follows the blocks of an allocator",
        Mode::Growth => "growth mode, which follows pages",
        Mode::Kernel => "kernel mode, which follows what the kernel allocates",
    }
}

/// Which allocations it followed.
fn followed(side: &Side) -> String {
    let which = match (side.followed_less, side.sample_period_bytes) {
        (true, _) => "followed fewer allocations when its budget was used up".to_owned(),
        (false, 0) => "followed every allocation".to_owned(),
        (false, period) => format!("followed about one allocation in every {}", human::bytes(period)),
    };
    match side.min_size_bytes {
        0 => which,
        least => format!("{which} of at least {}", human::bytes(least)),
    }
}

fn error(usage: &Usage) -> Option<u64> {
    Some(usage.live_error_bytes).filter(|error| *error > 0)
}

/// What became of a stack. When the two compare only in part, one that is missing has not come or gone for certain.
fn describe(stack: &StackDiff, in_part: bool) -> String {
    let what = match stack.change {
        Change::Appeared if in_part => "only in after",
        Change::Appeared => "appeared",
        Change::Grew => "grows faster",
        Change::Shrank => "grows more slowly",
        Change::Went if in_part => "only in before",
        Change::Went => "went",
        Change::Same => "same",
    };
    let live = |usage: Option<&Usage>| {
        usage.map_or_else(|| "-".to_owned(), |usage| table::estimate(usage.live_bytes, error(usage)))
    };
    let (before, after) = (live(stack.before.as_ref()), live(stack.after.as_ref()));
    let rate = human::bytes_per_hour(stack.growth_difference_bytes_per_hour);
    let mut text = format!("{what}  {rate}  (live {before} -> {after})\n");
    for line in stack_lines(&stack.frames) {
        let _ = writeln!(text, "    {line}");
    }
    text
}
