// The first screen: the verdict, why, and a sentence to paste into a chat.

import { glyph, VERDICTS } from "./classes";
import type { VerdictName } from "./decode";
import { copyButton, el, get } from "./dom";
import { shortcomings } from "./limits";
import { onward } from "./onward";
import type { Report } from "./report";
import { base, legible, short } from "./text";
import { bytes, count, duration, perHour, percent, rough, signed, wallClock } from "./units";
import { heaviest } from "./weights";
import { counted, words } from "./words";

export interface Rate {
  bytesPerHour: number;
  /** The stacks it is the sum of, the fastest first; empty when it is that of everything live. */
  stacks: number[];
  /** Judged to leak, and not only suspected. */
  leak: boolean;
}

/** Growth per hour of what leaks; of what is suspected when nothing does; else of everything live, from first to last. */
export function rateOf(report: Report): Rate {
  for (const name of ["Leak", "Suspected"] as const) {
    const stacks = [...report.title.keys()].filter((stack) => report.class(stack) === name).sort((a, b) => report.growthPerHour[b]! - report.growthPerHour[a]!);
    const bytesPerHour = stacks.reduce((sum, stack) => sum + report.growthPerHour[stack]!, 0);
    if (bytesPerHour > 0) return { bytesPerHour, stacks, leak: name === "Leak" };
  }
  const { total } = report.data;
  const seconds = report.steps > 1 ? report.seconds.at(-1)! - report.seconds[0]! : 0;
  return { bytesPerHour: seconds > 0 ? ((total.at(-1)! - total[0]!) * 3600) / seconds : 0, stacks: [], leak: false };
}

/** Who was watched, in a few words. */
export function subject({ data }: Report): string {
  const { command, pids, container, pod } = data.target;
  if (pod) return legible(`${pod.namespace}/${pod.name}`, 120);
  // Of the whole machine there is no first process whose command this would be.
  if (data.mode === "Kernel" && data.source === "leakhound" && !pids.length && !container) return "the kernel";
  const program = command ? legible(base(command.split(" ")[0]!).replace(/:$/, ""), 60) : undefined;
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

/** Whose memory is lost in Kernel mode: never the program's own. */
function loser(report: Report): string {
  const { pids, container } = report.data.target;
  return pids.length || container ? `the kernel, working for ${subject(report)},` : "the kernel";
}

interface Limit {
  length: string;
  /** The wall-clock time, when the recording has one. */
  moment: string | undefined;
  /** How early and how late it may be. */
  range: string | undefined;
}

function limit(report: Report): Limit | undefined {
  const { data } = report;
  const { secondsToLimit: seconds, secondsToLimitInterval: interval } = data.verdict;
  if (seconds === undefined || seconds === null) return undefined;
  const end = data.startedUnixMs === null ? undefined : data.startedUnixMs + data.durationSeconds * 1000;
  const far = Math.max(seconds, interval?.[1] ?? 0) > 20 * 3600;
  const moment = (after: number, zone: boolean) => (end === undefined ? rough(after) : wallClock(end + after * 1000, far, zone));
  const [early, late] = interval ?? [seconds, seconds];
  const [from, to] = [moment(early, false), late === null ? undefined : moment(late, false)];
  return { length: rough(seconds), moment: end === undefined ? undefined : moment(seconds, true), range: from === to ? undefined : to === undefined ? `${from} at the earliest` : `${from} to ${to}` };
}

/** The stack that grows the most, when any does. */
const fastest = (report: Report) => heaviest(report.growthPerHour, 1)[0];

/** The whole answer as one paragraph of plain text. */
export function sentence(report: Report): string {
  const { data } = report;
  const { verdict } = data;
  const last = Math.max(0, report.steps - 1);
  const who = subject(report);
  const plural = (of: number, noun: string) => `${count(of)} ${noun}${of === 1 ? "" : "s"}`;
  const parts = [`${VERDICTS[verdict.name].label}${verdict.name === "Inconclusive" ? "" : ` (${percent(verdict.confidencePercent / 100).replace(".0", "")} sure)`}:`];
  const { bytesPerHour, stacks, leak } = rateOf(report);
  const live = () => `${data.mode === "Growth" ? "memory that" : "live memory of"} ${data.mode === "Kernel" ? loser(report) : who}${data.mode === "Growth" ? " took and did not give back" : ""} went from ${bytes(data.total[0]!)} to ${bytes(data.total[last]!)}`;
  const outside = aside(verdict.name);
  const [first, end] = [report.rss[0], report.rss[last]];
  if (report.steps < 2) parts.push(`${who} was seen at too few moments to say how its memory moves.`);
  else if (outside && first != null && end != null) parts.push(`resident memory of ${who} went from ${bytes(first)} to ${bytes(end)}, live bytes from ${bytes(data.total[0]!)} to ${bytes(data.total[last]!)}.`);
  else if (verdict.name === "LeakLikely" && stacks.length) parts.push(`${data.mode === "Kernel" ? loser(report) : who} ${leak ? "leaks" : "seems to leak"} ${perHour(bytesPerHour).slice(1)} in ${plural(stacks.length, "stack")}.`);
  else parts.push(`${live()}${verdict.name === "GrowthUnexplained" && bytesPerHour > 0 ? `, ${perHour(bytesPerHour)}` : ""}.`);
  const limitAt = limit(report);
  if (limitAt) {
    const most = data.target.memoryLimitBytes;
    parts.push(`Its memory reaches the ${most ? `${bytes(most)} ` : ""}limit in ${limitAt.length}${limitAt.moment ? `, at ${limitAt.moment}` : ""}${limitAt.range ? ` (${limitAt.range})` : ""}.`);
  }
  const top = verdict.name === "LeakLikely" || verdict.name === "GrowthUnexplained" ? (stacks[0] ?? fastest(report)) : undefined;
  const accused = top === undefined ? [] : ownFrames(report, top, 3);
  if (top !== undefined && accused.length) {
    const place = report.titlePlace(top);
    const where = place?.file ? ` (${legible(base(place.file), 60)}${place.line ? `:${place.line}` : ""})` : "";
    parts.push(`Top stack: ${accused.join(" ← ")}${where}, ${perHour(report.growthPerHour[top]!)}.`);
  }
  const sampled = data.settings.samplePeriodBytes ? `, sampled every ${bytes(data.settings.samplePeriodBytes)}` : "";
  parts.push(`[leakhound: ${data.mode} mode${sampled}, ${duration(data.durationSeconds)}, ${plural(data.snapshotCount, "snapshot")}]`);
  return parts.join(" ");
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
      verdict.name !== "Inconclusive" && confidence(verdict.confidencePercent)),
    el("div", { class: "quote" }, el("p", { id: "sentence" }, text), copyButton("Copy", () => text)),
    el("dl", { class: "figures" }, ...figures(report, last)),
  );
  const why = verdict.reasons.length > 0 && el("div", {}, el("h2", { class: "why" }, "Why"), el("ol", { class: "reasons" }, ...verdict.reasons.map((reason) => el("li", {}, legible(reason, 600)))));
  get("verdict").append(el("div", { class: "grounds" }, why, shortcomings(report)));
  const next = onward(report);
  if (next) get("verdict").append(next);
}

function confidence(value: number): HTMLElement {
  const fill = el("i");
  fill.style.inlineSize = `${Math.min(100, value)}%`;
  return el("p", { class: "confidence" }, el("span", { class: "meter", "aria-hidden": "true" }, fill), el("span", {}, el("b", {}, `${value}\u00a0%`), " confidence"));
}

/** The memory in question is not that of live blocks. */
const aside = (name: VerdictName) => name === "AllocatorRetention" || name === "OffHeapGrowth";

/** From the first to the last of values that are known at both ends. */
function changeOf(values: readonly (number | null)[]): number | undefined {
  const [first, last] = [values[0], values.at(-1)];
  return first == null || last == null ? undefined : last - first;
}

function figures(report: Report, last: number): HTMLElement[] {
  const { data } = report;
  const figure = (name: string, value: string, note: string) => el("div", {}, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "note" }, note));
  const out: HTMLElement[] = [];
  const verdictName = data.verdict.name;
  if (report.steps > 1) {
    const { bytesPerHour, stacks, leak } = rateOf(report);
    const grown = `${signed(data.total[last]! - data.total[0]!)} live while watched`;
    const resident = aside(verdictName) ? changeOf(report.rss) : undefined;
    if (resident !== undefined) out.push(figure("Resident memory grows", perHour((resident * 3600) / (report.seconds[last]! - report.seconds[0]!)), `${signed(resident)} while watched; ${signed(data.total[last]! - data.total[0]!)} live`));
    else out.push(figure(leak ? "Leaks" : "Growth", perHour(bytesPerHour), stacks.length ? `in ${count(stacks.length)} stack${stacks.length === 1 ? "" : "s"}; ${grown}` : grown));
  }
  if (report.steps) out.push(figure(words(data.mode).live, bytes(data.total[last]!), `${data.totals.liveErrorBytes ? `± ${bytes(data.totals.liveErrorBytes)}; ` : ""}${counted(data.mode, data.totals.liveCount)} in ${count(report.stacks)} stack${report.stacks === 1 ? "" : "s"}`));
  const rss = report.rss[last];
  const memoryLimit = data.target.memoryLimitBytes;
  if (rss != null) out.push(figure("Resident", bytes(rss), memoryLimit ? `${percent(rss / memoryLimit)} of the ${bytes(memoryLimit)} limit` : `${signed(rss - (report.rss[0] ?? rss))} while watched`));
  const limitAt = limit(report);
  if (limitAt) out.push(figure("Limit reached in", limitAt.length, limitAt.moment ? `at ${limitAt.moment}${limitAt.range ? `; ${limitAt.range}` : ""}` : limitAt.range ?? "at the present rate"));
  else out.push(figure("Watched for", duration(data.durationSeconds), `${count(data.snapshotCount)} snapshot${data.snapshotCount === 1 ? "" : "s"}, ${data.mode} mode`));
  return out;
}
