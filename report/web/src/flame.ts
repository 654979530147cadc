// The flame graph: what it shows, and how mouse and keyboard move in it. Drawing is in icicle.ts, the tree in calls.ts.

import { Calls, paths, type Call, type Paths } from "./calls";
import { announce, el, get } from "./dom";
import type { Filtered } from "./filter";
import { draw, layout, pick, type Picture } from "./icicle";
import type { Report } from "./report";
import { base, legible } from "./text";
import { bytes, count, elapsed, percent, signed } from "./units";
import type { Shape, View } from "./view";
import { weigh, WEIGHTS, whole } from "./weights";
import { counted } from "./words";

const SHAPES: Record<Shape, { label: string; title: string }> = {
  calls: { label: "Calls", title: "from main down to where memory is allocated" },
  inverted: { label: "Inverted", title: "from where memory is allocated up to main: what leaks over many paths adds up" },
  sandwich: { label: "Callers & callees", title: "around one function: who calls it above, what it calls below" },
};

export interface Flame {
  show: (filtered: Filtered) => void;
  draw: () => void;
  focus: () => void;
  /** Zooms to where a stack allocates. */
  reveal: (stack: number) => void;
}

export function drawFlame(report: Report, view: View): Flame {
  const body = get("flame-body");
  const lead = el("p", { class: "lead" });
  const shapes = el("div", { class: "segments", role: "group", "aria-label": "Direction" }, ...(Object.keys(SHAPES) as Shape[]).map((shape) =>
    el("button", { type: "button", "data-shape": shape, title: SHAPES[shape].title, onclick: () => view.set({ shape, zoom: [], around: shape === "sandwich" ? (view.state.around ?? named()) : view.state.around }) }, SHAPES[shape].label)));
  const check = (label: string, key: "folded" | "focused", title: string) => {
    const input = el("input", { type: "checkbox" });
    input.checked = view.state[key];
    input.addEventListener("change", () => view.set({ [key]: input.checked, zoom: [] }));
    return el("label", { title }, input, label);
  };
  const reset = el("button", { type: "button", onclick: () => zoom([]) }, "Reset zoom");
  const matched = el("output", { class: "note" });
  const canvas = el("canvas", { "aria-hidden": "true" });
  const tip = el("div", { class: "tip", "aria-hidden": "true", hidden: true });
  const box = el("div", { id: "flame-graph", class: "flame", tabindex: 0, role: "application", "aria-roledescription": "flame graph", "aria-label": "Flame graph. Arrows move between frames, Enter zooms, Escape goes back, S shows callers and callees.", "aria-describedby": "frame", "aria-keyshortcuts": "f" }, canvas, tip);
  const reading = el("p", { id: "frame", class: "reading", "aria-live": "polite" });
  const empty = el("p", { class: "empty", hidden: true });
  body.append(lead, el("div", { class: "line tools" }, shapes, check("Fold runtime frames", "folded", "allocator, standard library and start-up frames"), check("Only what matches", "focused", "leaves out the stacks that the search line and the chips leave out"), reset, matched), reading, box, empty);

  let run: Paths = paths(report, view.state.folded);
  let filtered: Filtered | undefined;
  let calls: Calls;
  let picture: Picture | undefined;
  let total = 0;
  let chosen: Call | undefined;

  const signs = () => view.state.weight === "growth";
  const say = (value: number) => (view.state.weight === "count" ? counted(report.data.mode, value) : signs() ? signed(value) : view.state.weight === "allocated" ? `${bytes(value)}, ${bytes(value / watched())}/s` : bytes(value));
  /** Seconds of the stretch looked at. */
  const watched = () => { const { stretch } = view.state; return Math.max(0.001, stretch ? report.seconds[stretch[1]]! - report.seconds[stretch[0]]! : report.data.durationSeconds); };
  const named = (): number | undefined => (chosen && chosen.name >= 0 && chosen.name !== run.folded ? chosen.name : undefined);
  const name = (call: Call): string => {
    if (call.name < 0) return "all stacks";
    const text = legible(report.place(call.place).function, 300);
    return call.name === run.folded ? `⋯ ${text}` : text;
  };
  const describe = (call: Call): string => {
    const place = call.place < 0 || call.name === run.folded ? undefined : report.place(call.place);
    const where = place ? [place.file && `${legible(place.file, 100)}${place.line ? `:${place.line}` : ""}`, base(place.module)].filter(Boolean).join(" · ") : call.name === run.folded ? "folded runtime frames" : "";
    return `${name(call)}: ${say(call.value)}, ${percent(call.size / total)}${where ? `, ${where}` : ""}, ${count(call.stacks.length)} stack${call.stacks.length === 1 ? "" : "s"}`;
  };
  const keep = (stack: number) => !view.state.focused || !filtered || filtered.stacks[stack] === 1;

  /** Puts the tree together anew; `zoom` is followed as far as it still leads. */
  function build() {
    const { state } = view;
    const weights = weigh(report, state.weight, state.stretch ?? whole(report));
    calls = new Calls(run, weights);
    const around = state.shape === "sandwich" ? state.around : undefined;
    const inward = state.shape !== "inverted";
    let focus = around === undefined ? calls.root(inward, keep) : calls.around(around, keep);
    total = around === undefined ? focus.size : calls.root(true, keep).size;
    for (const step of state.zoom) {
      const next = calls.children(focus, inward ? 1 : -1, 0).find((call) => call.name === step);
      if (!next) break;
      focus = next;
    }
    const before = chosen;
    const width = Math.max(260, box.clientWidth);
    const children = (step: 1 | -1) => (call: Call) => calls.children(call, step, focus.size / (2 * width));
    picture = layout(focus, width, children(inward ? 1 : -1), around === undefined || state.zoom.length ? undefined : children(-1));
    // The reader's place stays, where it still exists.
    const path = before && pathTo(before).join(".");
    chosen = picture.boxes.find(({ call, upward }) => !upward && call.name === before?.name && pathTo(call).join(".") === path)?.call ?? focus;
    const nothing = focus.size === 0;
    empty.hidden = !nothing;
    box.hidden = nothing;
    empty.textContent = state.shape === "sandwich" && around === undefined ? "Choose a function first: a frame of an open stack above, or a frame of the flame graph and then S."
      : state.weight === "growth" ? "Nothing grew or shrank in this stretch." : "Nothing to weigh here.";
    reset.disabled = state.zoom.length === 0;
    for (const button of shapes.children as Iterable<HTMLElement> & HTMLCollection) button.setAttribute("aria-pressed", String((button as HTMLElement).dataset.shape === state.shape));
    const stretch = state.stretch ?? whole(report);
    const when = !report.steps ? "" : state.weight === "growth" || (state.weight === "allocated" && state.stretch) ? ` from ${elapsed(report.seconds[stretch[0]]!)} to ${elapsed(report.seconds[stretch[1]]!)}` : state.weight === "live" ? ` at ${elapsed(report.seconds[stretch[1]]!)}` : "";
    lead.textContent = `Width is ${WEIGHTS[state.weight].what}${when}${signs() ? ": orange grew, blue shrank" : ""}. Click or Enter zooms.`;
    reading.textContent = nothing ? "" : describe(chosen);
    matched.textContent = share();
    paint();
  }

  /** How much of the weight the search line names. */
  function share(): string {
    if (!filtered || filtered.all || !total) return "";
    const weights = weigh(report, view.state.weight, view.state.stretch ?? whole(report));
    let sum = 0;
    weights.forEach((weight, stack) => (sum += filtered!.stacks[stack] ? Math.abs(weight) : 0));
    const all = weights.reduce((most, weight) => most + Math.abs(weight), 0);
    return `${percent(sum / all)} matches`;
  }

  function paint() {
    if (!picture || box.hidden) return;
    const marked = filtered?.places;
    draw(canvas, picture, {
      chosen,
      label: (call) => (signs() && call.value < 0 ? `▾ ${name(call)}` : name(call)),
      hit: marked ? (call) => call.place >= 0 && marked[call.place] === 1 : undefined,
      growth: signs(),
      origin: (call) => (call.place < 0 ? "runtime" : call.name === run.folded ? "runtime" : report.origin(call.place)),
      module: (call) => (call.place < 0 ? 0 : report.data.placeModule[call.place]!),
    });
  }

  function choose(call: Call) {
    chosen = call;
    reading.textContent = describe(call);
    paint();
  }

  function zoom(path: readonly number[]) {
    chosen = undefined;
    view.set({ zoom: path });
  }

  const pathTo = (call: Call): number[] => {
    const path: number[] = [];
    for (let step: Call | undefined = call; step?.parent; step = step.parent) path.unshift(step.name);
    return path;
  };

  /** Above the middle of a sandwich a click goes to that caller; elsewhere it zooms. */
  function enter(call: Call, upward: boolean) {
    if (upward && call.name !== run.folded) view.set({ around: call.name, zoom: [] });
    else if (!upward) zoom(pathTo(call));
  }

  canvas.addEventListener("pointermove", (event) => {
    const hit = picture && pick(picture, canvas, event);
    tip.hidden = !hit;
    if (!hit) return;
    tip.textContent = describe(hit.call);
    const area = box.getBoundingClientRect();
    const x = Math.min(event.clientX - area.left + 14, Math.max(0, area.width - tip.offsetWidth - 4));
    tip.style.transform = `translate(${Math.max(0, x)}px, ${event.clientY - area.top + 18}px)`;
  });
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("click", (event) => {
    const hit = picture && pick(picture, canvas, event);
    if (!hit) return;
    tip.hidden = true;
    if (hit.call === chosen || event.detail > 0) enter(hit.call, hit.upward);
  });
  box.addEventListener("keydown", (event) => {
    if (!chosen || !picture || event.altKey || event.ctrlKey || event.metaKey) return;
    const here = picture.boxes.find((candidate) => candidate.call === chosen) ?? picture.boxes[0]!;
    const beside = () => picture!.boxes.filter((other) => other.row === here.row && other.upward === here.upward).sort((a, b) => a.x - b.x);
    const step = (by: number) => { const line = beside(); return line[line.indexOf(here) + by]; };
    const middle = (other: { x: number; width: number }) => here.x + here.width / 2 >= other.x && here.x <= other.x + other.width;
    const vertical = (by: number) => picture!.boxes.filter((other) => other.row === here.row + by && (by < 0 ? middle(other) : other.x + other.width > here.x && other.x < here.x + here.width)).sort((a, b) => b.width - a.width)[0];
    const to = { ArrowUp: () => vertical(-1), ArrowDown: () => vertical(1), ArrowLeft: () => step(-1), ArrowRight: () => step(1) }[event.key];
    if (to) {
      const found = to();
      if (found) choose(found.call);
    } else if (event.key === "Enter") enter(chosen, here.upward);
    else if (event.key === "Escape" || event.key === "Backspace") zoom(view.state.zoom.slice(0, -1));
    else if (event.key === "Home") zoom([]);
    else if (event.key === "s" || event.key === "S") {
      if (named() !== undefined) view.set({ shape: "sandwich", around: named(), zoom: [] });
    } else return;
    event.preventDefault();
  });

  view.on(["folded"], () => (run = paths(report, view.state.folded)));
  view.on(["weight", "stretch", "shape", "zoom", "around", "folded", "focused"], build);
  view.on(["zoom"], () => announce(chosen ? `Zoomed to ${describe(chosen)}` : ""));
  view.on(["stack"], () => mark());
  build();
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (box.clientWidth === width || box.hidden) return;
    width = box.clientWidth;
    build();
  }).observe(body);

  /** Marks the deepest visible frame of the selected stack. */
  function mark() {
    const { stack } = view.state;
    if (stack === undefined || !picture) return;
    const through = picture.boxes.filter((candidate) => !candidate.upward && candidate.call.stacks.includes(stack));
    const deepest = through.sort((a, b) => b.row - a.row)[0];
    if (deepest) choose(deepest.call);
  }
  mark();

  return {
    show(next) {
      filtered = next;
      if (view.state.focused) build();
      else {
        matched.textContent = share();
        paint();
      }
    },
    draw: build,
    focus: () => box.focus(),
    reveal(stack) {
      const names = Array.from(run.names.subarray(run.start[stack], run.start[stack + 1]));
      const weight = weigh(report, view.state.weight, view.state.stretch ?? whole(report))[stack];
      view.set({ stack, shape: "calls", ...(weight ? {} : { weight: "live" as const }), zoom: names.slice(0, Math.max(0, names.length - 3)) });
      mark();
      box.scrollIntoView({ block: "nearest" });
      box.focus({ preventScroll: true });
    },
  };
}
