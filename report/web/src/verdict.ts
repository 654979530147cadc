// The first screen: the verdict, why, and a sentence to paste into a chat.

import { glyph, VERDICTS } from "./classes";
import { copyButton, el, get } from "./dom";
import type { Report } from "./report";
import { base, legible, short } from "./text";
import { bytes, count, duration, perHour, percent, rough, signed, wallClock } from "./units";

/** Growth per hour of what is judged to leak, or of everything live when nothing is. */
export function leakRate(report: Report): number {
  let leaking = 0;
  let all = 0;
  for (let stack = 0; stack < report.stacks; stack++) {
    const rate = report.growthPerHour[stack]!;
    const name = report.class(stack);
    if (name === "Leak" || name === "Suspected") leaking += rate;
    all += rate;
  }
  return leaking > 0 ? leaking : all;
}

/** Who was watched, in a few words. */
export function subject({ data }: Report): string {
  const { command, pids, container } = data.target;
  const program = command ? legible(base(command.split(" ")[0]!), 60) : undefined;
  const pid = pids.length === 0 ? undefined : pids.length === 1 ? `pid ${pids[0]}` : `${pids.length} processes`;
  if (program) return pid ? `${program} (${pid})` : program;
  if (pid) return pid;
  return container ? `container ${container.slice(0, 12)}` : data.mode === "Kernel" ? "the kernel" : "the program";
}

/** The frames of a stack that a person would name: the program's own, innermost first. */
export function ownFrames(report: Report, stack: number, most: number): string[] {
  const places = report.places(stack);
  const own = places.filter((place) => report.origin(place) === "application");
  return (own.length ? own : places).slice(0, most).map((place) => short(report.place(place).function, 48));
}

function limit(report: Report): { length: string; moment: string | undefined } | undefined {
  const { data } = report;
  const seconds = data.verdict.secondsToLimit;
  if (seconds === undefined || seconds === null) return undefined;
  const at = data.startedUnixMs === null ? undefined : data.startedUnixMs + (data.durationSeconds + seconds) * 1000;
  return { length: rough(seconds), moment: at === undefined ? undefined : wallClock(at, seconds > 20 * 3600) };
}

/** The whole answer as one paragraph of plain text. */
export function sentence(report: Report): string {
  const { data } = report;
  const { verdict } = data;
  const last = Math.max(0, report.steps - 1);
  const rate = leakRate(report);
  const who = subject(report);
  const watched = `${data.mode} mode, ${duration(data.durationSeconds)}, ${count(data.snapshotCount)} snapshot${data.snapshotCount === 1 ? "" : "s"}`;
  const parts = [`${VERDICTS[verdict.name].label} (${verdict.confidencePercent}% sure): `];
  const limitAt = limit(report);
  if (report.steps < 2) parts.push(`${who} was seen at too few moments to say how its memory moves.`);
  else if (verdict.name === "AllocatorRetention" || verdict.name === "OffHeapGrowth") {
    const [first, end] = [report.rss[0], report.rss[last]];
    if (first != null && end != null) parts.push(`resident memory of ${who} went from ${bytes(first)} to ${bytes(end)} while live bytes went from ${bytes(data.total[0]!)} to ${bytes(data.total[last]!)}.`);
    else parts.push(`${who}: ${verdict.reasons[0] ?? ""}`);
  } else if (rate > 0 && verdict.name !== "NoLeakObserved") parts.push(`${who} grows by ${perHour(rate).slice(1)}`, limitAt ? "" : ".");
  else parts.push(`live memory of ${who} went from ${bytes(data.total[0]!)} to ${bytes(data.total[last]!)}.`);
  if (limitAt) {
    const most = data.target.memoryLimitBytes;
    const verb = parts.at(-1) === "" ? " and reaches" : " It reaches";
    parts.push(`${verb} its ${most ? `${bytes(most)} ` : ""}limit in ${limitAt.length}${limitAt.moment ? `, at ${limitAt.moment}` : ""}.`);
  }
  const suspect = report.stacks && rate > 0 && verdict.name !== "NoLeakObserved" && verdict.name !== "AllocatorRetention" ? 0 : undefined;
  if (suspect !== undefined && ownFrames(report, suspect, 1).length) {
    const place = report.titlePlace(suspect);
    const where = place?.file ? ` (${legible(base(place.file), 60)}${place.line ? `:${place.line}` : ""})` : "";
    parts.push(` Top stack: ${ownFrames(report, suspect, 3).join(" ← ")}${where}, ${perHour(report.growthPerHour[suspect]!)}.`);
  }
  return `${parts.join("")} [leakhound: ${watched}]`;
}

export function drawVerdict(report: Report) {
  const { data } = report;
  const { verdict } = data;
  const { label, tone } = VERDICTS[verdict.name];
  const last = Math.max(0, report.steps - 1);
  const text = sentence(report);
  get("verdict").classList.add(tone);
  get("verdict").append(
    el("div", { class: "headline" },
      el("h1", { id: "verdict-name" }, glyph(tone), label),
      confidence(verdict.confidencePercent)),
    el("div", { class: "quote" }, el("p", { id: "sentence" }, text), copyButton("Copy", () => text)),
    el("dl", { class: "figures" }, ...figures(report, last)),
  );
  if (!verdict.reasons.length) return;
  get("verdict").append(el("h2", { class: "why" }, "Why"), el("ol", { class: "reasons" }, ...verdict.reasons.map((reason) => el("li", {}, legible(reason, 600)))));
}

function confidence(value: number): HTMLElement {
  const fill = el("i");
  fill.style.inlineSize = `${Math.min(100, value)}%`;
  return el("p", { class: "confidence" }, el("span", { class: "meter", "aria-hidden": "true" }, fill), el("span", {}, el("b", {}, `${value}%`), " confidence"));
}

function figures(report: Report, last: number): HTMLElement[] {
  const { data } = report;
  const figure = (name: string, value: string, note: string) => el("div", {}, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "note" }, note));
  const out: HTMLElement[] = [];
  const rate = leakRate(report);
  if (report.steps > 1) {
    const grown = data.total[last]! - data.total[0]!;
    out.push(figure("Growth", rate > 0 ? perHour(rate) : perHour((grown * 3600) / Math.max(1, report.seconds[last]! - report.seconds[0]!)), `${signed(grown)} while watched`));
  }
  if (report.steps) out.push(figure(data.mode === "Growth" ? "Mapped since the start" : "Live at the end", bytes(data.total[last]!), `${count(data.totals.liveCount)} block${data.totals.liveCount === 1 ? "" : "s"} in ${count(report.stacks)} stack${report.stacks === 1 ? "" : "s"}`));
  const rss = report.rss[last];
  const memoryLimit = data.target.memoryLimitBytes;
  if (rss != null) out.push(figure("Resident", bytes(rss), memoryLimit ? `${percent(rss / memoryLimit)} of the ${bytes(memoryLimit)} limit` : `${signed(rss - (report.rss[0] ?? rss))} while watched`));
  const limitAt = limit(report);
  if (limitAt) out.push(figure("Limit reached in", limitAt.length, limitAt.moment ? `at ${limitAt.moment}` : "at the present rate"));
  else out.push(figure("Watched for", duration(data.durationSeconds), `${count(data.snapshotCount)} snapshot${data.snapshotCount === 1 ? "" : "s"}, ${data.mode} mode`));
  return out;
}
