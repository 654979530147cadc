//! `leakhound diff`: what grew, shrank, appeared and went between two recordings.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use leakhound_report::diff::{Caveat, Change, Diff, StackDiff, diff};

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
    let side = |name: &str, side: &leakhound_report::diff::Side| {
        format!(
            "{name}  {} live, {} in {}: {}\n",
            human::bytes(side.total.live_bytes),
            human::bytes_per_hour(side.total.growth_bytes_per_hour),
            human::seconds(side.duration_seconds),
            table::visible(&side.command),
        )
    };
    let mut text = side("before", &found.before) + &side("after ", &found.after);
    for caveat in &found.caveats {
        let _ = writeln!(text, "  - {}", warning(*caveat));
    }
    let changed: Vec<&StackDiff> = found.stacks.iter().filter(|stack| stack.change != Change::Same).collect();
    if changed.is_empty() {
        text.push_str("\nNo stack grows faster or more slowly than before.\n");
    }
    for stack in changed.iter().take(top) {
        let _ = write!(text, "\n{}", describe(stack));
    }
    if changed.len() > top {
        let _ = writeln!(text, "\n{} more changed: see --top or --json.", changed.len() - top);
    }
    text
}

fn warning(caveat: Caveat) -> &'static str {
    match caveat {
        Caveat::DifferentModes => "Different things were watched: the sums say little.",
        Caveat::LargestStacksOnly => {
            "One of them holds its largest stacks only: what is missing may just be smaller."
        }
        Caveat::DifferentSampling => {
            "Allocations were left out by different rules: small stacks may differ for that alone."
        }
        Caveat::NoGrowth => "One of them has fewer than two snapshots: it has no growth.",
        Caveat::DifferentDurations => {
            "One of them is more than twice as long: what happens once at the start weighs less in it."
        }
    }
}

fn describe(stack: &StackDiff) -> String {
    let what = match stack.change {
        Change::Appeared => "appeared",
        Change::Grew => "grows faster",
        Change::Shrank => "grows more slowly",
        Change::Went => "went",
        Change::Same => "same",
    };
    let live = |usage: Option<&leakhound_report::diff::Usage>| {
        usage.map_or_else(|| "-".to_owned(), |usage| human::bytes(usage.live_bytes))
    };
    let (before, after) = (live(stack.before.as_ref()), live(stack.after.as_ref()));
    let rate = human::bytes_per_hour(stack.growth_difference_bytes_per_hour);
    let mut text = format!("{what}  {rate}  (live {before} -> {after})\n");
    for line in stack_lines(&stack.frames) {
        let _ = writeln!(text, "    {line}");
    }
    text
}
