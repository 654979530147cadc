// What to do next: the exact commands that follow from this report.

import { copyButton, el } from "./dom";
import type { Pod } from "./decode";
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

/** A length of which this run is at most a third, where there is one. */
const longerThan = (seconds: number) => (LENGTHS.find(([length]) => length >= 3 * seconds) ?? LENGTHS.at(-1)!)[1];

/** Another run that would tell more. */
interface Attempt {
  why: string;
  mode: string;
  /** As typed. */
  duration: string;
  /** Between snapshots, in milliseconds. */
  interval?: number;
  /** Options that only a run beside the program takes. */
  options?: string;
  /** To be compared with this run. */
  compared?: boolean;
}

/** The most useful first. `shortest` is a run's least length in seconds. */
function attempts({ data }: Report, shortest: number): Attempt[] {
  const { name, confidencePercent } = data.verdict;
  // A run takes a moment longer than it was asked to.
  const asked = data.settings.durationNs / 1e9;
  const length = Math.abs(data.durationSeconds - asked) < asked / 10 ? asked : data.durationSeconds;
  const same = asTyped(Math.max(shortest, Math.round(length)));
  const again = { mode: data.mode.toLowerCase(), duration: same };
  const lost = (loss: string) => (data.ledger.find(([key]) => key === loss)?.[1] ?? 0) > 0;
  const out: Attempt[] = [];
  if (lost("blocksFull")) out.push({ ...again, why: "More room: blocks were lost", options: "--max-blocks 8000000" });
  if (data.mode === "Growth") out.push({ ...again, mode: "heap", why: "Whether it is a leak, where the program uses malloc or its like" });
  if (data.mode === "Heap" && (name === "OffHeapGrowth" || data.totals.allocatedCount === 0)) out.push({ ...again, mode: "growth", why: "Which stacks make the program larger, past the allocators watched" });
  if (data.endReason === "budget" || data.events.some(([, , kind]) => kind === "budgetStep")) out.push({ ...again, why: "All of it, whatever it costs the program", options: "--budget off" });
  if (name === "LeakLikely" || name === "GrowthUnexplained") out.push({ ...again, why: `After a fix, the same ${duration(length)} again`, compared: true });
  if (name !== "LeakLikely" || confidencePercent < 90) {
    const why = name === "NoLeakObserved" ? "Slower leaks need longer" : "More snapshots make it surer";
    if (data.endReason !== "targetExited") out.push({ ...again, why, duration: longerThan(data.durationSeconds) });
    else out.push({ ...again, why: "It ends by itself: more snapshots until then", duration: longerThan(data.durationSeconds), interval: Math.max(10, Math.round(data.durationSeconds * 50)) });
  }
  return out;
}

/** The commands of whoever has `kubectl` and the right to investigate, and no shell on the node. */
function onCluster(report: Report, pod: Pod): Step[] {
  const [name, namespace, container] = [pod.name, pod.namespace, pod.container].map(quoted);
  if (!name || !namespace || !container || report.data.endReason === "targetExited") return [];
  const mode = (mode: string) => (mode === "heap" ? "" : ` --mode ${mode}`);
  return attempts(report, 15).filter(({ options }) => options === undefined).map((attempt) => ({
    why: attempt.why,
    command: `kubectl leak run ${name} -n ${namespace} -c ${container}${mode(attempt.mode)} --duration ${attempt.duration}`,
  }));
}

/** The commands, the most useful first: only such as can work as they are. */
export function stepsOf(report: Report): Step[] {
  const { data } = report;
  if (data.target.pod) return onCluster(report, data.target.pod);
  const whom = target(report);
  if (whom === undefined) return [];
  const kept = data.keptAs === null || data.source !== "leakhound" ? undefined : quoted(data.keptAs);
  const after = /(^|\/)after\.lhr$/.test(data.keptAs ?? "") ? "later" : "after";
  const run = (options: string) => `leakhound run ${options} --recording ${after}.lhr --html ${after}.html ${whom}`.trimEnd();
  if (data.source !== "leakhound") {
    return data.mode === "Kernel" ? [] : [{ why: "Frees, the age of blocks and resident memory, which this log does not have", command: run(`--duration ${longerThan(data.durationSeconds)}`) }];
  }
  return attempts(report, 3).flatMap((attempt) => {
    const mode = attempt.mode === "heap" && data.mode === "Heap" ? "" : `--mode ${attempt.mode} `;
    const interval = attempt.interval === undefined ? "" : ` --interval ${attempt.interval}ms`;
    const options = attempt.options === undefined ? "" : `${attempt.options} `;
    const step = { why: attempt.why, command: run(`${mode}${options}--duration ${attempt.duration}${interval}`) };
    return attempt.compared && kept !== undefined ? [step, { why: "Then what the fix changed", command: `leakhound diff ${kept} ${after}.lhr` }] : [step];
  });
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
