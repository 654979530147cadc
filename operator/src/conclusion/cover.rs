//! The page about several recordings: the answer about all of them, and a link to each one's own report.
//!
//! One file, no script, no request. Everything that comes from a target is escaped.

use std::fmt::Write;

use leakhound_report::amount;

use crate::answer::{Answer, Merged, growth_text};

/// One recording on the cover.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) pod: String,
    pub(super) container: String,
    /// Name of its own report beside the cover.
    pub(super) file: Option<String>,
    pub(super) answer: Answer,
}

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; display: block; overflow-x: auto }
th, td { text-align: left; padding: .4rem .8rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
code { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
</style>
"#;

/// The cover.
pub(super) fn page(title: &str, rows: &[Row], merged: Option<&Merged>) -> String {
    let mut page = HEAD.to_owned();
    let title = escape(title);
    let _ = writeln!(page, "<title>Leakhound: {title}</title>\n<h1>{title}</h1>");
    if let Some(merged) = merged {
        write_answer(&mut page, merged);
    }
    page.push_str("<h2>Containers</h2>\n<table>\n<tr><th>Pod<th>Container<th>Verdict<th class=number>Live<th class=number>Growth\n");
    for row in rows {
        let pod = escape(&row.pod);
        let link = row
            .file
            .as_ref()
            .map_or_else(|| pod.clone(), |file| format!("<a href=\"{}\">{pod}</a>", escape(file)));
        let answer = &row.answer;
        let _ = writeln!(
            page,
            "<tr><td>{link}<td>{}<td>{} ({} % sure)<td class=number>{}<td class=number>{}",
            escape(&row.container),
            answer.verdict,
            answer.confidence_percent,
            amount::bytes(u64::try_from(answer.outstanding_bytes).unwrap_or_default()),
            growth_text(answer.growth_bytes_per_hour),
        );
    }
    page.push_str("</table>\n</html>\n");
    page
}

fn write_answer(page: &mut String, merged: &Merged) {
    let _ =
        writeln!(page, "<p><strong>{}</strong> ({} % sure)</p>", merged.verdict, merged.confidence_percent);
    if !merged.reasons.is_empty() {
        page.push_str("<ul>\n");
        for reason in &merged.reasons {
            let _ = writeln!(page, "<li>{}", escape(reason));
        }
        page.push_str("</ul>\n");
    }
    if merged.findings.is_empty() {
        return;
    }
    page.push_str("<h2>Stacks that grow</h2>\n<table>\n<tr><th>Class<th class=number>Live<th class=number>Growth<th>Where<th>Stack\n");
    for finding in &merged.findings {
        let frames: Vec<String> = finding.frames.iter().map(|frame| escape(&frame.function)).collect();
        let pod = finding.pod_name.as_deref().map_or_else(|| "every pod".to_owned(), escape);
        let _ = writeln!(
            page,
            "<tr><td>{}<td class=number>{}<td class=number>{}<td>{pod}<td><code>{}</code>",
            escape(&finding.class),
            amount::bytes(u64::try_from(finding.outstanding_bytes).unwrap_or_default()),
            growth_text(finding.growth_bytes_per_hour),
            frames.join("<br>"),
        );
    }
    page.push_str("</table>\n");
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}
