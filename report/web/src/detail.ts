// An open row: why this class, how its cohorts survived, its oldest blocks, and the whole stack.

import { badge, sparkline } from "./classes";
import { copyButton, el, svg } from "./dom";
import type { Place, Report } from "./report";
import { survivalChart } from "./survival";
import { base, legible } from "./text";
import { bytes, count, duration, elapsed, estimate, percent, perHour, signed } from "./units";
import { counted } from "./words";

export interface DetailActions {
  flame: (stack: number) => void;
  around: (place: number) => void;
  /** The height of the row changed. */
  resized: () => void;
}

export function detail(report: Report, stack: number, actions: DetailActions): HTMLElement {
  const evidence = report.evidence(stack);
  const places = report.places(stack);
  const name = report.class(stack);
  const charts = el("div", { class: "charts" }, liveChart(report, stack), survivalChart(report, stack));
  const frames = el("ol", { class: "frames" });
  fillFrames(report, frames, places, report.cut(stack), actions);
  return el("div", { class: "detail" },
    el("p", { class: "evidence" }, badge(name), evidence.because ? ` ${legible(evidence.because, 600)}` : " This stack was not judged."),
    numbers(report, stack),
    charts,
    el("div", { class: "actions" },
      el("button", { type: "button", onclick: () => actions.flame(stack) }, "Show in flame graph"),
      copyButton("Copy stack", () => asText(report, stack)),
      el("span", { class: "note" }, `stack ${report.id(stack)}`)),
    el("h3", {}, `Stack, innermost first`),
    frames,
    blocks(report, stack));
}

function numbers(report: Report, stack: number): HTMLElement {
  const { data } = report;
  const evidence = report.evidence(stack);
  const list = el("dl", { class: "numbers" });
  const add = (label: string, value: string | undefined) => value !== undefined && list.append(el("div", {}, el("dt", {}, label), el("dd", {}, value)));
  add("Growth", `${perHour(report.growthPerHour[stack]!)}${evidence.slope ? ` (95\u00a0%: ${perHour(evidence.slope[0])} to ${perHour(evidence.slope[1])})` : ""}`);
  add("Live", `${estimate(report.lastLive(stack), report.error(stack))} in ${counted(data.mode, data.liveCount[stack]!)}`);
  const allocated = data.allocatedBytes[stack]!;
  if (allocated) add("Allocated", `${bytes(allocated)} in ${count(data.allocatedCount[stack]!)}, ${percent(report.lastLive(stack) / allocated)} still live`);
  add("Grew in", evidence.growingShare === undefined ? undefined : `${percent(evidence.growingShare)} of the steps`);
  add("Mann–Kendall", evidence.trend === undefined ? undefined : evidence.trend < 0.001 ? "p < 0.001" : `p = ${evidence.trend.toFixed(3)}`);
  add("Last third / first third", evidence.deceleration === undefined ? undefined : evidence.deceleration.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−"));
  add("Older cohorts still live", evidence.survival === undefined ? undefined : percent(evidence.survival));
  return list;
}

function liveChart(report: Report, stack: number): HTMLElement {
  const values = report.series(stack);
  const [first, last] = [values[0] ?? 0, values.at(-1) ?? 0];
  const most = values.reduce((high, value) => Math.max(high, value), 0);
  const error = report.error(stack);
  const ceiling = Math.max(1, most, error ? last + 2 * error : 0);
  const chart = sparkline(values, report.class(stack), `Live bytes from ${bytes(first)} to ${bytes(last)}`, 420, 120, ceiling);
  if (error) chart.append(errorBar(last, error, ceiling));
  return el("figure", {},
    el("figcaption", {}, "Live bytes", el("span", {}, `${bytes(first)} → ${bytes(last)} (${signed(last - first)}${error ? `, ± ${bytes(error)}` : ""})${most > last && most > first ? `, at most ${bytes(most)}` : ""}`)),
    el("div", { class: "plot" }, chart),
    report.steps > 1 && el("div", { class: "scale" }, el("span", {}, elapsed(report.seconds[0]!)), el("span", {}, elapsed(report.seconds[report.steps - 1]!))));
}

/** Where 19 of 20 estimates of the last value lie: two standard errors to each side. */
function errorBar(last: number, error: number, ceiling: number): SVGElement {
  const y = (value: number) => (118.5 - (Math.max(0, value) / ceiling) * 117).toFixed(1);
  const [high, low] = [y(last + 2 * error), y(last - 2 * error)];
  return svg("path", { class: "error", d: `M418 ${high}V${low}M412 ${high}H419M412 ${low}H419` });
}

/** Runs of runtime and allocator frames become one line that opens. */
function fillFrames(report: Report, list: HTMLElement, places: number[], cut: string | undefined, actions: DetailActions) {
  let run: number[] = [];
  const flush = () => {
    if (!run.length) return;
    const hidden = run;
    run = [];
    const kinds = new Set(hidden.map((place) => report.origin(place)));
    const label = `${hidden.length} ${kinds.size > 1 ? "allocator and runtime" : [...kinds][0]} frame${hidden.length > 1 ? "s" : ""}`;
    const first = legible(report.place(hidden[hidden.length - 1]!).function, 60);
    const fold = el("li", { class: "fold" });
    const open = () => {
      fold.replaceWith(...hidden.map((place) => frame(report, place, actions)));
      actions.resized();
    };
    fold.append(el("button", { type: "button", class: "link", "aria-expanded": "false", onclick: open }, label), " ", el("small", {}, hidden.length > 1 ? `… ${first}` : first));
    list.append(fold);
  };
  const own = places.some((place) => report.origin(place) === "application");
  for (const place of places) {
    if (own && report.origin(place) !== "application") run.push(place);
    else {
      flush();
      list.append(frame(report, place, actions));
    }
  }
  flush();
  if (!places.length) list.append(el("li", { class: "note" }, "The frames of this stack were lost."));
  if (cut) list.append(el("li", { class: "note" }, `The walk ended here: ${legible(cut, 200)}`));
}

function frame(report: Report, index: number, actions: DetailActions): HTMLElement {
  const place = report.place(index);
  return el("li", { class: place.origin },
    el("button", { type: "button", class: "link", title: "Callers and callees in the flame graph", onclick: () => actions.around(index) }, el("code", {}, legible(place.function, 600))),
    " ", el("small", {}, location(place)), place.inlined && el("small", { class: "tag" }, "inlined"));
}

const location = (place: Place) => [place.file && `${legible(place.file, 160)}${place.line ? `:${place.line}` : ""}`, place.module && legible(base(place.module), 60)].filter(Boolean).join(" · ");

function blocks(report: Report, stack: number): HTMLElement {
  const known = report.blocks(stack);
  if (!known.length) {
    const { source, mode } = report.data;
    const none = mode === "Growth" ? "Growth mode follows pages, which are not listed one by one." : source === "leakhound" ? "Blocks are read for the stacks with the most live bytes; this is not one of them." : "A memleak log does not name blocks.";
    return el("p", { class: "note" }, report.lastLive(stack) ? none : "No block of this stack is live.");
  }
  return el("div", { class: "blocks" }, el("h3", {}, known.length > 1 ? `${count(known.length)} oldest live blocks` : "The oldest live block"), el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Oldest live blocks" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, ...["Address", "Size", "Age", "Process", "Thread"].map((title, i) => el("th", { scope: "col", class: i ? "number" : "" }, title)))),
    el("tbody", {}, ...known.map((block) => el("tr", {}, el("td", {}, el("code", {}, legible(block.address, 40))), ...[bytes(block.sizeBytes), duration(block.ageSeconds), String(block.pid), String(block.tid)].map((value) => el("td", { class: "number" }, value))))))));
}

/** The stack as plain text, for a ticket. */
export function asText(report: Report, stack: number): string {
  const head = `${report.class(stack) ?? "not judged"}: ${estimate(report.lastLive(stack), report.error(stack))} live, ${perHour(report.growthPerHour[stack]!)}`;
  const frames = report.places(stack).map((index, i) => {
    const place = report.place(index);
    return `  #${i} ${legible(place.function, 2000)}${location(place) ? `  ${location(place)}` : ""}${place.inlined ? " (inlined)" : ""}`;
  });
  return [head, ...frames].join("\n");
}
