//! What the page is told: facts there are few of as JSON, and everything per stack, frame or snapshot as columns.

use std::{borrow::Cow, collections::HashMap};

use serde::Serialize;

use crate::{
    analysis::{Analysis, Block, Class, Finding, Overhead, Target, Totals, Verdict},
    origin::Origin,
    recording::{
        Allocator, Event, EventKind, History, Host, Mode, Recording, Settings, Source, Stack, StackCounters,
    },
};

use super::{
    call_tree::CallTree,
    encode::{Columns, Facts, index, int, scaled},
    survival,
    table::Table,
};

/// Stacks times snapshots that one page holds: ten times what a screen can show, and still under a megabyte.
const MOST_CELLS: usize = 1_200_000;
/// Snapshots that one page draws at most: a screen has no more columns.
const MOST_SNAPSHOTS: usize = 600;
/// Events listed at most; the rest is counted.
const MOST_EVENTS: usize = 200;

/// The facts there are few of. `report/web/src/decode.ts` has the same type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head<'a> {
    source: Source,
    mode: Mode,
    target: &'a Target,
    settings: &'a Settings,
    host: &'a Host,
    allocators: &'a [Allocator],
    started_unix_ms: Option<u64>,
    duration_seconds: f64,
    snapshot_count: usize,
    verdict: &'a Verdict,
    totals: &'a Totals,
    peak_seconds: f64,
    /// Index of the stack, bytes in the first and in the last snapshot.
    alerts: Vec<(usize, u64, u64)>,
    ledger: Vec<(&'a str, u64)>,
    overhead: &'a Overhead,
    events: Vec<EventRow<'a>>,
    events_left_out: usize,
    /// Why the run ended; absent when the recording was cut off.
    end_reason: Option<&'a str>,
    /// File that the recording is kept in; absent when it is not, or nobody said where.
    kept_as: Option<&'a str>,
    functions: Vec<Cow<'a, str>>,
    files: Vec<Cow<'a, str>>,
    modules: Vec<&'a str>,
    classes: [Class; 8],
    /// Why walks ended early, each text once.
    cuts: Vec<&'a str>,
    /// Sentences of evidence, in the order of the stacks.
    because: Vec<&'a str>,
    /// The oldest live blocks with the index of their stack.
    blocks: Vec<(usize, &'a Block)>,
    /// Stacks, from the first on, whose cohorts are in the page.
    stacks_with_cohorts: usize,
}

/// Seconds since the start, process, kind, detail.
type EventRow<'a> = (f64, Option<u32>, EventKind, &'a str);

/// One stack of the page.
struct Row<'a> {
    history: History<'a>,
    finding: Option<&'a Finding>,
}

/// Everything that the page shows of `recording`.
pub(super) fn facts<'a>(
    recording: &'a Recording,
    analysis: &'a Analysis,
    kept_as: Option<&'a str>,
) -> Facts<Head<'a>> {
    let rows = rows(recording, analysis);
    let index_of: HashMap<u32, usize> =
        rows.iter().enumerate().map(|(at, row)| (row.history.stack.id, at)).collect();
    let stacks: Vec<&Stack> = rows.iter().map(|row| row.history.stack).collect();
    let tree = CallTree::build(&stacks, &recording.modules, analysis.mode);
    let drawn = drawn(recording, analysis, rows.len());
    let mut columns = Columns::default();
    tree_columns(&mut columns, &tree);
    let cuts = stack_columns(&mut columns, &rows, &drawn);
    time_columns(&mut columns, recording, analysis, &drawn);
    let stacks_with_cohorts =
        survival::columns(&mut columns, recording, rows.iter().map(|row| &row.history), &drawn);
    let modules: HashMap<u32, &str> = recording.modules.iter().map(|m| (m.id, m.path.as_str())).collect();
    let events = recording.events.iter().take(MOST_EVENTS);
    let head = Head {
        source: analysis.source,
        mode: analysis.mode,
        target: &analysis.target,
        settings: &recording.header.settings,
        host: &recording.header.host,
        allocators: &recording.header.allocators,
        started_unix_ms: analysis.started_unix_ms,
        duration_seconds: analysis.duration_seconds,
        snapshot_count: analysis.snapshot_count,
        verdict: &analysis.verdict,
        totals: &analysis.totals,
        peak_seconds: analysis.peak.at_seconds,
        alerts: analysis
            .alerts
            .iter()
            .filter_map(|alert| Some((*index_of.get(&alert.stack_id)?, alert.from_bytes, alert.to_bytes)))
            .collect(),
        ledger: analysis.ledger.iter().map(|(name, &value)| (name.as_str(), value)).collect(),
        overhead: &analysis.overhead,
        events: events.map(event_row).collect(),
        events_left_out: recording.events.len().saturating_sub(MOST_EVENTS),
        end_reason: recording.end.as_ref().map(|end| end.reason.as_str()),
        kept_as,
        functions: tree.functions,
        files: tree.files,
        modules: tree.modules.iter().map(|id| modules.get(id).copied().unwrap_or_default()).collect(),
        classes: Class::ALL,
        cuts,
        because: rows.iter().map_while(|row| row.finding).map(|f| f.evidence.because.as_str()).collect(),
        blocks: rows
            .iter()
            .enumerate()
            .filter_map(|(at, row)| Some((at, row.finding?)))
            .flat_map(|(at, finding)| finding.blocks.iter().map(move |block| (at, block)))
            .collect(),
        stacks_with_cohorts,
    };
    Facts { head, columns }
}

/// The findings in their order, then the stacks on which there is none.
fn rows<'a>(recording: &'a Recording, analysis: &'a Analysis) -> Vec<Row<'a>> {
    let found: HashMap<u32, &Finding> =
        analysis.findings.iter().map(|finding| (finding.stack_id, finding)).collect();
    let row = |history: History<'a>| Row { finding: found.get(&history.stack.id).copied(), history };
    let mut rows: Vec<Row<'_>> = recording.histories().into_iter().map(row).collect();
    rows.sort_by_key(|row| row.finding.map_or(usize::MAX, |finding| finding.rank));
    rows
}

/// Which snapshots the page draws: all, or evenly spread ones with the first, the last and the peak among them.
fn drawn(recording: &Recording, analysis: &Analysis, stacks: usize) -> Vec<usize> {
    let count = recording.snapshots.len();
    let most = (MOST_CELLS / stacks.max(1)).clamp(2, MOST_SNAPSHOTS);
    if count <= most {
        return (0..count).collect();
    }
    let mut drawn: Vec<usize> = (0..most).map(|at| at * (count - 1) / (most - 1)).collect();
    let peak = recording.snapshots.partition_point(|s| seconds(s.time_ns) < analysis.peak.at_seconds);
    drawn.push(peak.min(count - 1));
    drawn.sort_unstable();
    drawn.dedup();
    drawn
}

fn tree_columns(columns: &mut Columns, tree: &CallTree<'_>) {
    let places = &tree.places;
    columns.plain("placeFunction", places.iter().map(|place| int(place.function as u64)));
    columns.plain("placeFile", places.iter().map(|place| index(place.file)));
    columns.plain("placeLine", places.iter().map(|place| i64::from(place.line)));
    columns.plain("placeModule", places.iter().map(|place| index(place.module)));
    columns.plain(
        "placeKind",
        places.iter().map(|place| {
            let origin = match place.origin {
                Origin::Application => 0,
                Origin::Allocator => 1,
                Origin::Runtime => 2,
            };
            i64::from(place.inlined) + 2 * origin + 8 * i64::from(!place.named)
        }),
    );
    columns.differences("nodeParent", usize::MAX, tree.nodes.iter().map(|&(parent, _)| int(parent as u64)));
    columns.plain("nodePlace", tree.nodes.iter().map(|&(_, place)| int(place as u64)));
    columns.differences("leaf", usize::MAX, tree.leaves.iter().map(|&leaf| int(leaf as u64)));
}

/// What is known of each stack. Returns the texts that the column `cut` names.
fn stack_columns<'a>(columns: &mut Columns, rows: &[Row<'a>], drawn: &[usize]) -> Vec<&'a str> {
    let mut cuts = Table::default();
    let cut: Vec<Option<usize>> =
        rows.iter().map(|row| Some(cuts.index(row.history.stack.cut_short.as_deref()?))).collect();
    columns.differences("id", usize::MAX, rows.iter().map(|row| i64::from(row.history.stack.id)));
    columns.plain("cut", cut.into_iter().map(index));
    let live = rows.iter().flat_map(|row| row.history.sample(drawn, |counters| counters.live_bytes));
    columns.differences("live", drawn.len(), live.map(int));
    // What was freed so far is nothing for a leak, so it packs better than what was allocated: their difference is live.
    let freed = |counters: &StackCounters| counters.allocated_bytes.saturating_sub(counters.live_bytes);
    let freed = rows.iter().flat_map(|row| row.history.sample(drawn, freed));
    columns.differences("freed", drawn.len(), freed.map(int));
    let mut last = |name, of: fn(&StackCounters) -> u64| {
        columns.plain(name, rows.iter().map(|row| int(row.history.last().map_or(0, of))));
    };
    last("liveError", |counters| counters.live_error_bytes);
    last("liveCount", |counters| counters.live_count);
    last("allocatedBytes", |counters| counters.allocated_bytes);
    last("allocatedCount", |counters| counters.allocated_count);
    let class = |finding: &Finding| Class::ALL.iter().position(|&class| class == finding.class);
    columns.plain("class", rows.iter().map(|row| index(row.finding.and_then(class))));
    let mut evidence = |name, scale, of: fn(&Finding) -> Option<f64>| {
        columns.plain(name, rows.iter().map(|row| scaled(row.finding.and_then(of), scale)));
    };
    evidence("growthPerHour", 1.0, |f| Some(f.growth_bytes_per_hour));
    evidence("slopeLow", 1.0, |f| f.evidence.slope_interval_bytes_per_hour.map(|(low, _)| low));
    evidence("slopeHigh", 1.0, |f| f.evidence.slope_interval_bytes_per_hour.map(|(_, high)| high));
    evidence("trend", 1e6, |f| f.evidence.trend_p_value);
    evidence("growingShare", 1e3, |f| Some(f.evidence.growing_share));
    evidence("deceleration", 1e3, |f| f.evidence.deceleration);
    evidence("survival", 1e3, |f| f.evidence.cohort_survival);
    cuts.values
}

fn time_columns(columns: &mut Columns, recording: &Recording, analysis: &Analysis, drawn: &[usize]) {
    let point = |at: &usize| analysis.timeline.get(*at);
    let total = |of: Option<u64>| of.map_or(0, |bytes| int(bytes) + 1);
    columns.differences(
        "time",
        usize::MAX,
        drawn.iter().map(|&at| int(recording.snapshots[at].time_ns / 1_000_000)),
    );
    columns.plain("total", drawn.iter().map(|at| point(at).map_or(0, |point| int(point.live_bytes))));
    columns.plain("charged", drawn.iter().map(|&at| total(recording.snapshots[at].cgroup_bytes)));
    columns.plain("rss", drawn.iter().map(|at| total(point(at).and_then(|point| point.rss_bytes))));
    columns
        .plain("anonymous", drawn.iter().map(|at| total(point(at).and_then(|point| point.anonymous_bytes))));
}

fn event_row(event: &Event) -> EventRow<'_> {
    (seconds(event.time_ns), event.pid, event.what, &event.detail)
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
