//! `show`: what is known about an investigation, or what it found.

use std::fmt::Write as _;

use anyhow::Result;
use leakhound_crds::{
    ConditionStatus, LeakInvestigation, LeakInvestigationStatus, Verdict,
    condition::{self, BUDGET_EXCEEDED, LEAK_DETECTED, REPORT_READY, SUCCEEDED},
    finding,
    investigation::status::{Memory, WatchedTarget},
};
use leakhound_report::{
    amount,
    analysis::{Frame, Text, VerdictName},
};

use super::{access::Access, args::Show};
use crate::{
    Outcome,
    columns::columns,
    destination::Destination,
    human,
    outputs::terminal_width,
    stack::stack_lines,
    table::{title, visible},
};

pub(super) async fn show(access: &Access, asked: &Show) -> Result<Outcome> {
    let investigation = access.investigation(&asked.name).await?;
    let text = answer(&investigation, asked.top, terminal_width(), &|words| access.command(words));
    Destination::Stdout.write(text.as_bytes())?;
    Ok(Outcome::Worked)
}

/// The whole answer as far as it is known, for a terminal this wide. `command` tells how to call this program.
pub(super) fn answer(
    investigation: &LeakInvestigation,
    top: usize,
    width: u16,
    command: &dyn Fn(&str) -> String,
) -> String {
    let none = LeakInvestigationStatus::default();
    let status = investigation.status.as_ref().unwrap_or(&none);
    let name = investigation.metadata.name.as_deref().unwrap_or_default();
    let mut text = heading(status);
    for target in &status.targets {
        let _ = writeln!(text, "  - {}", watched(target));
    }
    if !status.findings.is_empty() && top > 0 {
        let rows = status.findings.iter().take(top).map(row);
        let header = ["#", "LIVE", "BLOCKS", "GROWTH", "CLASS", "WHERE"];
        let _ = write!(text, "\n{}", columns(header, 4, rows, width));
    }
    let more = status.findings.len().saturating_sub(top)
        + usize::try_from(status.findings_omitted.unwrap_or(0)).unwrap_or(0);
    if more > 0 {
        let more = amount::counted(more, "more stack", "more stacks");
        let _ = writeln!(text, "{more}: see --top and the report.");
    }
    if !status.reports.is_empty() {
        text.push('\n');
        for report in &status.reports {
            let size = report.size_bytes.map(|size| human::bytes(size.unsigned_abs())).unwrap_or_default();
            let _ = writeln!(
                text,
                "{:<7} {size:>9}  {}",
                report.format,
                report.url.as_deref().unwrap_or_default()
            );
        }
        let _ = writeln!(text, "To open it: {}", command(&format!("report {name} --open")));
    }
    text
}

/// Verdict or state, with what is said about it.
fn heading(status: &LeakInvestigationStatus) -> String {
    let say = |type_| condition::find(&status.conditions, type_);
    let Some(succeeded) = say(SUCCEEDED) else {
        return "Nothing is known yet: the operator has not written a status.\n".to_owned();
    };
    let verdict = status.summary.as_ref().and_then(|summary| {
        Some(title(verdict_name(summary.verdict?), summary.confidence_percent.unwrap_or_default()))
    });
    let message = visible(&succeeded.message);
    let mut text = match (succeeded.status, verdict) {
        (ConditionStatus::True, Some(verdict)) => format!("{verdict}\n"),
        (ConditionStatus::True, None) => format!("{}: {message}\n", succeeded.reason),
        (ConditionStatus::False, _) => format!("No result ({}): {message}\n", succeeded.reason),
        (ConditionStatus::Unknown, Some(verdict)) => {
            format!("{}: {message}\nSo far: {verdict}\n", succeeded.reason)
        }
        (ConditionStatus::Unknown, None) => format!("{}: {message}\n", succeeded.reason),
    };
    let leak = say(LEAK_DETECTED).filter(|one| !matches!(one.reason.as_str(), "NotKnownYet" | "NoResult"));
    let budget = say(BUDGET_EXCEEDED).filter(|one| one.status == ConditionStatus::True);
    let report = say(REPORT_READY)
        .filter(|one| one.status == ConditionStatus::False && succeeded.status == ConditionStatus::True);
    for said in [leak, budget, report].into_iter().flatten() {
        let _ = writeln!(text, "  - {}", visible(&said.message));
    }
    text
}

fn verdict_name(verdict: Verdict) -> VerdictName {
    match verdict {
        Verdict::LeakLikely => VerdictName::LeakLikely,
        Verdict::GrowthUnexplained => VerdictName::GrowthUnexplained,
        Verdict::AllocatorRetention => VerdictName::AllocatorRetention,
        Verdict::OffHeapGrowth => VerdictName::OffHeapGrowth,
        Verdict::NoLeakObserved => VerdictName::NoLeakObserved,
        Verdict::Inconclusive => VerdictName::Inconclusive,
    }
}

/// One container in one line.
fn watched(target: &WatchedTarget) -> String {
    let mut parts = Vec::new();
    parts.extend(target.reason.clone());
    if let Some(percent) = target.coverage_percent {
        let stretches =
            if target.epochs > 1 { format!(" in {} stretches", target.epochs) } else { String::new() };
        parts.push(format!("watched {percent} % of the time{stretches}"));
    }
    parts.extend(target.memory.as_ref().and_then(memory));
    if target.restarts > 0 {
        let restarts = usize::try_from(target.restarts).unwrap_or_default();
        parts.push(amount::counted(restarts, "restart", "restarts"));
    }
    if let Some(overhead) = &target.overhead {
        let (whole, tenths) = (overhead.cpu_permille / 10, overhead.cpu_permille % 10);
        parts.push(format!("cost {whole}.{tenths} % of one core"));
    }
    let node = target.node_name.as_deref().map(|node| format!(" on {node}")).unwrap_or_default();
    visible(&format!("{}/{}{node}: {}", target.pod_name, target.container, parts.join(", ")))
}

fn memory(memory: &Memory) -> Option<String> {
    let bytes = |count: i64| human::bytes(count.unsigned_abs());
    let mut text = match (memory.start_bytes, memory.end_bytes) {
        (Some(start), Some(end)) => format!("memory {} -> {}", bytes(start), bytes(end)),
        (start, end) => format!("memory {}", bytes(end.or(start)?)),
    };
    if let Some(limit) = memory.limit_bytes {
        let _ = write!(text, " of {}", bytes(limit));
    }
    if let Some(kills) = memory.oom_kills.filter(|kills| *kills > 0) {
        let _ = write!(text, ", {kills} killed for want of memory");
    }
    Some(text)
}

fn row(finding: &finding::Finding) -> [String; 6] {
    let frames: Vec<Frame> = finding.frames.iter().map(frame).collect();
    let mut lines = stack_lines(&frames);
    if finding.frames_omitted > 0 {
        lines.push(format!("... {} more in the report", finding.frames_omitted));
    }
    if let Some(pod) = &finding.pod_name {
        lines.push(format!("only in pod {}", visible(pod)));
    }
    [
        finding.rank.to_string(),
        human::bytes(finding.outstanding_bytes.unsigned_abs()),
        human::count(finding.outstanding_count.unsigned_abs()),
        human::bytes_per_hour(finding.growth_bytes_per_hour as f64),
        visible(&finding.class).to_lowercase(),
        lines.join("\n  "),
    ]
}

fn frame(frame: &finding::Frame) -> Frame {
    let known = |text: &str| (!text.is_empty()).then(|| text.into());
    let module = frame.module.as_str().into();
    let (function, module) = match known(&frame.function) {
        Some(function) => (function, module),
        None => (module, Text::default()),
    };
    Frame {
        module,
        function,
        file: known(&frame.file),
        line: frame.line.and_then(|line| line.try_into().ok()),
        ..Frame::default()
    }
}

#[cfg(test)]
mod tests;
