// What this cannot tell you: everything that was lost, left out or never measured, beside what it cost to look.

import { el, get } from "./dom";
import { entry } from "./ledger";
import type { Report } from "./report";
import { base, legible } from "./text";
import { bytes, count, duration, elapsed, percent, signed } from "./units";

export function drawLimits(report: Report) {
  get("limits-body").append(
    caveats(report),
    el("div", { class: "columns" }, el("div", {}, shares(report), resident(report)), el("div", {}, overhead(report), setting(report))),
    ledger(report), events(report));
}

/** What the mode itself leaves open. */
function caveatOfMode({ data }: Report): string | undefined {
  if (data.mode === "Growth") return "Growth mode sees the pages that a program takes and gives back, not blocks: a stack here made the program larger. Whether that is a leak, a cache, or memory that an allocator or garbage collector keeps, it cannot tell.";
  if (data.mode === "Kernel") return data.source === "leakhound" ? "Stacks are those of the kernel. Page cache, inodes and the pages of programs are left out: the kernel takes those back by itself." : "Stacks are those of the kernel. Pages that a program mapped and still uses count as live; they are no leak of the kernel.";
  return undefined;
}

/** Sentences that a careful person would add to the verdict. */
export function caveatsOf(report: Report): string[] {
  const { data } = report;
  const out: string[] = [];
  if (data.snapshotCount < 3) out.push(`There ${data.snapshotCount === 1 ? "is 1 snapshot" : `are ${data.snapshotCount} snapshots`}: growth cannot be told from noise with fewer than three.`);
  if (data.source !== "leakhound") {
    const tool = data.source === "memleak-bcc" ? "bcc’s memleak.py" : "libbpf-tools’ memleak";
    out.push(`This is a log of ${tool}. It lists the largest stacks of each moment only, and has no resident memory, no frees and no age of blocks: retention by the allocator and memory outside it cannot be seen.`);
  } else if (data.mode !== "Kernel" && report.rss.every((value) => value === null)) out.push("Resident memory was not recorded: retention by the allocator and memory outside it cannot be seen.");
  const ofMode = caveatOfMode(report);
  if (ofMode) out.push(ofMode);
  if (data.settings.samplePeriodBytes) out.push(`Allocations were sampled, on average one in every ${bytes(data.settings.samplePeriodBytes)}: sums are estimates with an error (±), and rare small leaks can be missed.`);
  if (data.settings.minSizeBytes) out.push(`Allocations below ${bytes(data.settings.minSizeBytes)} were not followed.`);
  if (data.source === "leakhound" && data.mode === "Heap") out.push("What was allocated before the probes went on is not in the numbers.");
  if (data.source === "leakhound" && data.endReason === null) out.push("The recording was cut off before its end: what happened later, the cost and the oldest blocks are missing.");
  if (data.endReason === "failed") out.push("The run failed before its end.");
  if (data.endReason === "budget") out.push("Watching ended early, because it cost the program more than its budget allows.");
  if (report.steps < data.snapshotCount) out.push(`The page draws ${count(report.steps)} of ${count(data.snapshotCount)} snapshots; verdict, classes and alerts used all.`);
  return out;
}

/** For beside the verdict: the same, with what was lost in figures, as a few lines that lead to the rest. */
export function shortcomings(report: Report): HTMLElement {
  const { all, whole, named } = completeness(report);
  // That there are too few snapshots, and what our own recording's mode leaves open, is said right beside it.
  const said = report.data.source === "leakhound" ? caveatOfMode(report) : undefined;
  const lines = caveatsOf(report).slice(report.data.snapshotCount < 3 ? 1 : 0).filter((line) => line !== said);
  const lost = report.data.ledger.map(([name, value]) => ({ ...entry(name), value })).filter(({ loss, value }) => loss && value > 0).sort((a, b) => b.value - a.value);
  if (all && whole < all) lines.push(`${percent((all - whole) / all)} of the live bytes are in stacks that end early.`);
  if (all && named < all) lines.push(`${percent((all - named) / all)} of the live bytes are allocated in functions without a name.`);
  const [first, second] = lost.map(({ label, value }) => `${legible(label, 80).replace(/^[A-Z](?=[a-z])/, (letter) => letter.toLowerCase())} (${count(value)})`);
  lines.push(!first ? "Nothing was lost on the way." : `Lost on the way: ${[first, second].filter(Boolean).join(", ")}${lost.length > 2 ? `, and ${lost.length - 2} more` : ""}.`);
  return el("div", { class: "short-of" }, el("h2", { class: "why" }, "What this cannot tell you"),
    el("ul", { class: "reasons" }, ...lines.map((text) => el("li", {}, text))), el("p", { class: "note" }, el("a", { href: "#limits" }, "The whole ledger, and what it cost")));
}

function caveats(report: Report): HTMLElement {
  return el("ul", { class: "caveats" }, ...caveatsOf(report).map((text) => el("li", {}, text)));
}

/** Live bytes: all, those in stacks walked to the end, those with a named function, those with a source line. */
function completeness(report: Report) {
  let [all, whole, named, lined] = [0, 0, 0, 0];
  for (let stack = 0; stack < report.stacks; stack++) {
    const live = report.lastLive(stack);
    const place = report.titlePlace(stack);
    all += live;
    if (report.cut(stack) === undefined && place) whole += live;
    if (place?.named) named += live;
    if (place?.file && place.line) lined += live;
  }
  return { all, whole, named, lined };
}

function shares(report: Report): HTMLElement {
  const { all, whole, named, lined } = completeness(report);
  const ledger = new Map(report.data.ledger);
  const lost = report.data.ledger.reduce((sum, [name, value]) => sum + (["blocksFull", "countersFull", "callsFull", "walksBusy", "overBudget"].includes(name) ? value : 0), 0);
  const seen = (ledger.get("allocations") ?? 0) + lost;
  const meter = (label: string, share: number) => {
    const fill = el("i");
    fill.style.inlineSize = `${share * 100}%`;
    return el("div", { class: "share" }, el("dt", {}, label), el("dd", {}, el("span", { class: "meter", "aria-hidden": "true" }, fill), el("b", {}, percent(share))));
  };
  return el("section", { "aria-label": "How complete it is" }, el("h3", {}, "How complete it is"), el("dl", { class: "meters" },
    ...(seen ? [meter("allocations counted", (seen - lost) / seen)] : []),
    ...(all ? [meter("live bytes in stacks walked to the end", whole / all), meter("… whose function has a name", named / all), meter("… whose source line is known", lined / all)] : [el("p", { class: "note" }, "Nothing is live, so nothing had to be named.")])));
}

/** Resident memory as what is tracked and what is not: its own band, never silently "other". */
function resident(report: Report): HTMLElement {
  const { data, steps } = report;
  const last = steps - 1;
  const [first, end] = [report.rss[0], report.rss[last]];
  const section = el("section", { "aria-label": "Resident memory" }, el("h3", {}, "Resident memory against what is tracked"));
  if (first == null || end == null || !report.comparable) {
    section.append(el("p", { class: "note" }, report.comparable ? "Not in this recording." : "Memory of the kernel is not part of a process’s resident memory: there is nothing to compare."));
    return section;
  }
  const most = Math.max(first, end, 1);
  const untracked = (step: number, rss: number) => Math.max(0, rss - data.total[step]!);
  const row = (step: number, rss: number) => {
    const [known, unknown] = [el("i", { class: "tracked" }), el("i", { class: "untracked" })];
    known.style.inlineSize = `${(100 * (rss - untracked(step, rss))) / most}%`;
    unknown.style.inlineSize = `${(100 * untracked(step, rss)) / most}%`;
    return el("div", { class: "band" }, el("span", {}, elapsed(report.seconds[step]!)), el("span", { class: "bar", "aria-hidden": "true" }, known, unknown), el("span", { class: "value" }, bytes(rss)));
  };
  const change = (of: (step: number) => string) => (last ? `${of(0)} → ${of(last)}` : of(0));
  const key = (name: string, text: string) => el("span", {}, el("i", { class: `key ${name}` }), text);
  section.append(row(0, first), ...(last ? [row(last, end)] : []),
    el("p", { class: "note keys-line" }, key("tracked", `tracked ${change((step) => bytes(data.total[step]!))}`), key("untracked", `not tracked ${change((step) => bytes(untracked(step, report.rss[step]!)))}`)));
  const beyond = data.total[last]! > end ? " Some of what was asked for is not resident: not yet touched, or swapped out." : "";
  const moved = last ? `RSS changed by ${signed(end - first)}, live bytes by ${signed(data.total[last]! - data.total[0]!)}. ` : "";
  section.append(el("p", {}, `${moved}What is not tracked is code, thread stacks, mapped files, what was there before the probes, and pages that the allocator keeps.${beyond}`));
  return section;
}

function list(title: string, rows: [string, string | undefined][]): HTMLElement {
  return el("section", { "aria-label": title }, el("h3", {}, title), el("dl", { class: "facts" }, ...rows.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

function overhead(report: Report): HTMLElement {
  const { overhead: cost } = report.data;
  if (!cost.events && !cost.attachSeconds) return el("section", { "aria-label": "What it cost" }, el("h3", {}, "What it cost"), el("p", { class: "note" }, "Not in this recording."));
  return list("What it cost the program", [
    ["Time in probes", cost.probeNanoseconds ? `${percent((cost.eventsPerSecond * cost.probeNanoseconds) / 1e9)} of one CPU` : undefined],
    ["Probes run", `${count(cost.events)}, ${count(Math.round(cost.eventsPerSecond))} a second`],
    ["Each", cost.probeNanoseconds ? `${count(Math.round(cost.probeNanoseconds))} ns on average` : undefined],
    ["Attach, detach", `${duration(cost.attachSeconds)}, ${duration(cost.detachSeconds)}`],
    ...cores(cost),
  ]);
}

/** What the program itself used, without probes and with them; only what is known of it. */
function cores({ cpuBefore, cpuDuring, cpuAfter }: Report["data"]["overhead"]): [string, string][] {
  const known = ([["before", cpuBefore], ["during", cpuDuring], ["after", cpuAfter]] as const).filter(([, value]) => value != null);
  return known.length ? [["CPUs it kept busy", known.map(([when, value]) => `${value!.toFixed(2)} ${when}`).join(", ")]] : [];
}

function setting(report: Report): HTMLElement {
  const { data } = report;
  const { settings, host } = data;
  const functions = data.allocators.reduce((sum, allocator) => sum + allocator.functions.length, 0);
  return list("How it was measured", [
    ["Mode", data.mode],
    ["Interval", settings.intervalNs ? duration(settings.intervalNs / 1e9) : undefined],
    ["Sampling", data.source !== "leakhound" ? undefined : settings.samplePeriodBytes ? `every ${bytes(settings.samplePeriodBytes)}` : data.events.some(([, , kind]) => kind === "budgetStep") ? "every allocation at first; see the events" : "every allocation"],
    ["Allocators", data.allocators.length ? `${data.allocators.map(({ family, module }) => `${legible(family, 30)} (${legible(base(module), 40)})`).join(", ")}, ${count(functions)} function${functions === 1 ? "" : "s"}` : undefined],
    ["Probes", host.attach && legible(host.attach, 40)],
    ["Kernel", host.kernel && legible(`${host.kernel} ${host.architecture}`, 80)],
    ["Ended by", data.endReason === null ? undefined : ({ duration: "the end of its time", stopped: "being stopped", targetExited: "the program’s exit", budget: "its budget: watching cost more than was allowed", failed: "a failure" }[data.endReason] ?? legible(data.endReason, 80))],
  ]);
}

function ledger(report: Report): HTMLElement {
  const rows = report.data.ledger.map(([name, value]) => ({ ...entry(name), name, value })).filter(({ value }) => value > 0);
  const losses = rows.filter((row) => row.loss);
  if (!rows.length) return el("section", { "aria-label": "Ledger" }, el("h3", {}, "Ledger"), el("p", { class: "note" }, "Nothing was counted and nothing was lost, or the source says nothing of it."));
  const line = (row: (typeof rows)[number]) => el("tr", { class: row.loss ? "loss" : "" }, el("td", { class: "number" }, count(row.value)), el("td", {}, legible(row.label, 80), row.loss && el("span", { class: "tag" }, "loss")), el("td", { class: "note" }, row.meaning));
  return el("section", { "aria-label": "Ledger" }, el("h3", {}, "Ledger"),
    el("p", {}, losses.length ? "Every event that was lost makes the verdict weaker; the confidence above has it taken off." : "Nothing was lost."),
    el("table", { class: "plain ledger" }, el("thead", { class: "unseen" }, el("tr", {}, el("th", { scope: "col" }, "Count"), el("th", { scope: "col" }, "What"), el("th", { scope: "col" }, "Meaning"))), el("tbody", {}, ...losses.map(line), ...rows.filter((row) => !row.loss).map(line))));
}

const EVENTS: Record<string, string> = {
  attached: "Probes on", detached: "Probes off", exited: "Process ended", executed: "New program", processFound: "Process found",
  allocatorFound: "Allocator found", outOfMemory: "Out of memory", budgetStep: "Cost lowered", gap: "Gap", unknown: "Event",
};

function events(report: Report): HTMLElement {
  const { events: rows, eventsLeftOut } = report.data;
  if (!rows.length) return el("span");
  return el("details", { class: "events", open: rows.length <= 12 }, el("summary", {}, `${count(rows.length + eventsLeftOut)} event${rows.length + eventsLeftOut === 1 ? "" : "s"} during the run`),
    el("table", { class: "plain" }, el("tbody", {}, ...rows.map(([at, pid, kind, detail]) => el("tr", { class: ["gap", "outOfMemory", "budgetStep"].includes(kind) ? "loss" : "" }, el("td", { class: "number" }, elapsed(at)), el("td", {}, Object.hasOwn(EVENTS, kind) ? EVENTS[kind] : legible(kind, 40)), el("td", { class: "number" }, pid === null ? "" : `pid ${pid}`), el("td", {}, detail && legible(detail, 300)))))),
    eventsLeftOut > 0 && el("p", { class: "note" }, `${count(eventsLeftOut)} later events are not in this page.`));
}
