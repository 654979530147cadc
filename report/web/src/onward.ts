// What to do next: the exact commands that follow from this report.

import { copyButton, el } from "./dom";
import type { Report } from "./report";
import { duration } from "./units";

export interface Step {
  why: string;
  command: string;
}

/** Lengths of a run that a person would choose, in seconds, as the command line has them. */
const LENGTHS: [number, string][] = [[60, "1m"], [600, "10m"], [3600, "1h"], [6 * 3600, "6h"], [24 * 3600, "24h"]];

/** Seconds as the command line takes them, in the largest unit that holds them whole. */
const asTyped = (seconds: number) => (seconds % 3600 === 0 ? `${seconds / 3600}h` : seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`);

/** A word as a shell takes it; nothing when pasting it could do something else. */
function quoted(word: string): string | undefined {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(word) ? undefined : `'${word.replaceAll("'", "'\\''")}'`;
}

/** How to start the program again; nothing when its command line is a title, or cannot be typed safely. */
function started(command: string): string | undefined {
  const words = command.split(" ").filter(Boolean).map(quoted);
  const isProgram = /^[\w@%+=,./-]+$/.test(words[0] ?? "");
  return isProgram && words.every((word) => word !== undefined) ? `-- ${words.join(" ")}` : undefined;
}

/** How to name the same target again: empty for the kernel as a whole, nothing when it cannot be had again. */
function target({ data }: Report): string | undefined {
  const { container, pids, command, launched } = data.target;
  const ended = data.endReason === "targetExited";
  if (container !== undefined) {
    const id = quoted(container.slice(0, 12));
    return ended || id === undefined ? undefined : `--container ${id}`;
  }
  if (launched || (ended && data.source === "leakhound")) return started(command);
  if (pids.length) return `--pid ${pids[0]}`;
  return data.mode === "Kernel" ? "" : undefined;
}

/** The commands, the most useful first: only such as can work as they are. */
export function stepsOf(report: Report): Step[] {
  const { data } = report;
  const whom = target(report);
  const kept = data.keptAs === null || data.source !== "leakhound" ? undefined : quoted(data.keptAs);
  const after = /(^|\/)after\.lhr$/.test(data.keptAs ?? "") ? "later" : "after";
  const files = `--recording ${after}.lhr --html ${after}.html`;
  const [, longer] = LENGTHS.find(([seconds]) => seconds >= 3 * data.durationSeconds) ?? LENGTHS.at(-1)!;
  if (whom === undefined) return [];
  if (data.source !== "leakhound") {
    return data.mode === "Kernel" ? [] : [{ why: "Frees, the age of blocks and resident memory, which this log does not have", command: `leakhound run --duration ${longer} ${files} ${whom}` }];
  }
  const steps: Step[] = [];
  const run = (options: string) => `leakhound run ${options} ${files} ${whom}`.trimEnd();
  const again = data.mode === "Heap" ? "" : `--mode ${data.mode.toLowerCase()} `;
  const same = asTyped(Math.max(3, Math.round(data.durationSeconds)));
  const lost = (name: string) => (data.ledger.find(([key]) => key === name)?.[1] ?? 0) > 0;
  if (lost("blocksFull")) steps.push({ why: "More room: blocks were lost", command: run(`${again}--max-blocks 8000000 --duration ${same}`) });
  if (data.mode === "Growth") steps.push({ why: "Whether it is a leak, where the program uses malloc or its like", command: run(`--mode heap --duration ${same}`) });
  if (data.mode === "Heap" && (data.verdict.name === "OffHeapGrowth" || data.totals.allocatedCount === 0)) steps.push({ why: "Which stacks make the program larger, past the allocators watched", command: run(`--mode growth --duration ${same}`) });
  if (data.endReason === "budget" || data.events.some(([, , kind]) => kind === "budgetStep")) steps.push({ why: "All of it, whatever it costs the program", command: run(`${again}--budget off --duration ${same}`) });
  const { name } = data.verdict;
  if (name === "LeakLikely" || name === "GrowthUnexplained") {
    steps.push({ why: `After a fix, the same ${duration(data.durationSeconds)} again`, command: run(`${again}--duration ${same}`) });
    if (kept !== undefined) steps.push({ why: "Then what the fix changed", command: `leakhound diff ${kept} ${after}.lhr` });
  }
  if (name !== "LeakLikely" || data.verdict.confidencePercent < 90) {
    const ended = data.endReason === "targetExited";
    const interval = Math.max(10, Math.round(data.durationSeconds * 50));
    if (ended) steps.push({ why: "It ends by itself: more snapshots until then", command: run(`${again}--duration ${longer} --interval ${interval}ms`) });
    else steps.push({ why: name === "NoLeakObserved" ? "Slower leaks need longer" : "More snapshots make it surer", command: run(`${again}--duration ${longer}`) });
  }
  return steps;
}

/** The commands as a list with copy buttons, closed at first: what leaks comes before what to do. */
export function onward(report: Report): HTMLElement | undefined {
  const steps = stepsOf(report);
  if (!steps.length) return undefined;
  // Words stay whole: a line must not end within `--pid`.
  const words = (command: string) => command.split(" ").flatMap((word, at) => [at ? " " : "", el("span", { class: "word" }, word)]);
  return el("details", { class: "onward" }, el("summary", {}, "Go on: the next commands"),
    el("ol", {}, ...steps.map(({ why, command }) => el("li", {}, el("span", {}, `${why}:`), el("code", {}, ...words(command)), copyButton("Copy", () => command)))));
}
