// What the page gives away as text: folded stacks and CSV of the stacks that a filter leaves. profile.ts has pprof's form.

import type { Report } from "./report";
import { legible } from "./text";

/** One line a stack, outermost function first, as flame-graph tools read it; what does not weigh more than nothing is left out. */
export function folded(report: Report, stacks: Iterable<number>, weights: Float64Array): string {
  const lines = new Map<string, number>();
  for (const stack of stacks) {
    const weight = Math.round(weights[stack]!);
    if (!(weight > 0)) continue;
    const names = report.places(stack).map((place) => frame(report.place(place).function)).reverse();
    const line = names.join(";") || "[unknown]";
    lines.set(line, (lines.get(line) ?? 0) + weight);
  }
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([line, weight]) => `${line} ${weight}\n`).join("");
}

/** A name that no reader of folded stacks can take for something else; as report/src/folded.rs writes it. */
function frame(name: string): string {
  const clean = name.replace(/;/g, ":").replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, " ").split(/\s+/).filter(Boolean).join(" ");
  if (!clean) return "[unknown]";
  // `a b 12` would be read as a stack `a b` with a number of its own.
  const numbered = /^(.*) ([0-9.]+)$/.exec(clean);
  if (numbered) return `${numbered[1]}_${numbered[2]}`;
  return clean.startsWith("#") ? `_${clean}` : clean;
}

const HEAD = ["rank", "class", "function", "file", "line", "module", "growth_bytes", "growth_bytes_per_hour", "live_bytes", "live_error_bytes", "live_blocks", "allocated_bytes", "allocated_blocks", "oldest_block_seconds", "why", "stack"];

/** The table as RFC 4180 has it, in the order of `stacks`; `growth` is that of the stretch looked at. */
export function csv(report: Report, stacks: Iterable<number>, growth: Float64Array): string {
  const lines = [HEAD.join(",")];
  for (const stack of stacks) {
    const { data } = report;
    const place = report.titlePlace(stack);
    const oldest = report.oldest[stack]!;
    lines.push([
      stack + 1, text(report.class(stack) ?? ""), text(place?.function ?? ""), text(place?.file ?? ""), place?.line || "", text(place?.module ?? ""),
      growth[stack]!, Math.round(report.growthPerHour[stack]!), report.lastLive(stack), report.error(stack) ?? "", data.liveCount[stack]!,
      data.allocatedBytes[stack]!, data.allocatedCount[stack]!, oldest === oldest ? Math.round(oldest) : "",
      text(report.evidence(stack).because ?? ""), text(report.places(stack).map((index) => report.place(index).function).join(" < ")),
    ].join(","));
  }
  return `${lines.join("\r\n")}\r\n`;
}

/** A field that a spreadsheet shows and never runs: names are foreign, and `=cmd|...` would be a formula. */
function text(value: string): string {
  const shown = value === "" ? "" : legible(value, 32_000);
  return `"${/^[=+\-@]/.test(shown) ? "'" : ""}${shown.replace(/"/g, '""')}"`;
}
