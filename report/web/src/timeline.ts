// Unfreed memory over time: the ten heaviest stacks on top of everything else, what is not tracked above them, RSS and
// the limit as lines. A stretch dragged here is what growth means everywhere below.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { glyph } from "./classes";
import { announce, css, el, get } from "./dom";
import { mix } from "./paint";
import type { Report } from "./report";
import { short } from "./text";
import { bytes, duration, elapsed, signed, tick } from "./units";
import type { View } from "./view";
import { heaviest, weigh, WEIGHTS, whole, type Stretch } from "./weights";

const TOP = 10;
const POWERS = Array.from({ length: 52 }, (_, i) => 2 ** i);
const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** One filled layer; the bottom one has no stack. */
interface Layer {
  stack: number | undefined;
  name: string;
  values: ArrayLike<number>;
  /** Sum of this layer and those below it. */
  upTo: number[];
}

function layersOf(report: Report, view: View): Layer[] {
  const { data, steps } = report;
  const weight = view.state.weight;
  const weights = weigh(report, weight, view.state.stretch ?? whole(report));
  const chosen = heaviest(weights, TOP).filter((stack) => report.series(stack).some((value) => value > 0));
  const rest = Float64Array.from({ length: steps }, (_, t) => Math.max(0, chosen.reduce((sum, stack) => sum - report.live(stack, t), data.total[t]!)));
  // Everything else lies at the bottom: on top of it, what grows stays visible.
  const layers: Layer[] = [{ stack: undefined, name: "everything else", values: rest, upTo: Array.from(rest) }];
  for (const stack of [...chosen].reverse()) {
    const values = report.series(stack);
    const below = layers.at(-1)!.upTo;
    const place = report.titlePlace(stack);
    layers.push({ stack, name: place ? short(place.function, 80) : "(no frames)", values, upTo: below.map((sum, t) => sum + values[t]!) });
  }
  return layers;
}

/** Colours of the layers: the class of the stack, lighter and darker by turns so that neighbours differ. */
export function layerColor(report: Report, stack: number | undefined, rank: number): string {
  if (stack === undefined) return css("--rest");
  const name = report.class(stack);
  return mix(css(name ? `--${name}` : "--Inconclusive"), css("--paper"), [0.12, 0.42, 0.26, 0.54][rank % 4]!);
}

export function drawTimeline(report: Report, view: View, reveal: (stack: number) => void): () => void {
  const body = get("timeline-body");
  const { data, steps, seconds } = report;
  if (steps < 2) {
    body.append(el("p", { class: "empty" }, steps ? `One snapshot, at ${elapsed(seconds[0]!)}, makes no line: ${bytes(data.total[0]!)} were live.` : "The recording has no snapshot."));
    return () => {};
  }
  const last = steps - 1;
  const limit = data.target.memoryLimitBytes;
  const rss = report.rss.some((value) => value !== null) ? report.rss : undefined;
  const charged = report.charged.some((value) => value !== null) ? report.charged : undefined;
  const mostCharged = Math.max(0, ...report.charged.map((value) => value ?? 0));
  const mostLive = Math.max(1, ...data.total);
  const mostRss = Math.max(0, ...report.rss.map((value) => value ?? 0));
  // A limit or RSS far above would press the layers into the ground: it starts hidden, and says so.
  const show = { rss: rss !== undefined && mostRss <= 6 * mostLive, limit: limit !== undefined && limit <= 4 * Math.max(mostLive, mostRss), charged: false };
  const box = el("div", { class: "chart", tabindex: 0, role: "group", "aria-roledescription": "chart", "aria-label": "Live bytes over time. Arrows read a moment, with Shift they select a stretch, Escape clears it.", "aria-describedby": "reading" });
  const reading = el("p", { id: "reading", class: "reading", "aria-live": "polite" });
  const legend = el("ol", { class: "legend" });
  const lines = el("div", { class: "lines" });
  const lead = el("p", { class: "lead" });
  body.append(lead, box, reading, lines, legend);

  let plot: uPlot | undefined;
  let layers: Layer[] = [];
  let at = last;
  let restoring = false;
  const outputs: [HTMLElement, ArrayLike<number | null>][] = [];

  function read(step: number) {
    at = step;
    reading.textContent = `At ${elapsed(seconds[step]!)}: ${bytes(data.total[step]!)} live${rss ? `, RSS ${rss[step] == null ? "unknown" : bytes(rss[step]!)}` : ""}`;
    for (const [output, values] of outputs) output.textContent = values[step] == null ? "–" : bytes(values[step]!);
  }

  function drawLegend(order: Layer[]) {
    outputs.length = 0;
    const value = (values: ArrayLike<number | null>) => {
      const output = el("span", { class: "value" });
      outputs.push([output, values]);
      return output;
    };
    legend.replaceChildren(...order.map((layer, rank) => {
      const chip = el("span", { class: "chip" }, layer.stack === undefined ? "" : String(rank + 1));
      chip.style.background = layerColor(report, layer.stack, rank);
      const name = el("code", {}, layer.name);
      const { stack } = layer;
      return el("li", { class: stack !== undefined && stack === view.state.stack ? "selected" : "" }, chip,
        stack === undefined ? el("span", { class: "glyph" }) : glyph(report.class(stack)),
        stack === undefined ? el("span", { class: "rest" }, layer.name) : el("button", { type: "button", class: "link", onclick: () => reveal(stack) }, name), value(layer.values));
    }));
    const toggle = (key: keyof typeof show, label: string, values: ArrayLike<number | null>) => {
      const input = el("input", { type: "checkbox" });
      input.checked = show[key];
      input.addEventListener("change", () => { show[key] = input.checked; draw(); });
      return el("label", {}, input, el("i", { class: `stroke ${key}` }), label, " ", value(values));
    };
    const steady = (bytesOf: number) => Array<number>(steps).fill(bytesOf);
    lines.replaceChildren(
      rss ? toggle("rss", "RSS", rss) : el("span", { class: "note" }, "RSS is not in this recording"),
      ...(charged ? [toggle("charged", "charged to the cgroup", charged)] : []),
      ...(limit !== undefined ? [toggle("limit", "memory limit", steady(limit))] : []),
      ...(rss && report.comparable ? [el("span", {}, el("i", { class: "stroke untracked" }), "RSS not tracked ", value(rss.map((v, t) => (v === null ? null : Math.max(0, v - data.total[t]!)))))] : []));
    const { stretch } = view.state;
    if (stretch) {
      const clear = el("button", { type: "button", onclick: () => view.set({ stretch: undefined }) }, "Clear");
      lines.append(el("span", { class: "stretch" }, `From ${elapsed(seconds[stretch[0]]!)} to ${elapsed(seconds[stretch[1]]!)}: ${signed(data.total[stretch[1]]! - data.total[stretch[0]]!)} `, clear));
    }
    read(at);
  }

  function draw() {
    layers = layersOf(report, view);
    const order = [...layers].reverse();
    const colors = order.map((layer, rank) => layerColor(report, layer.stack, rank));
    const top = layers.at(-1)!.upTo;
    const above = rss && show.rss && report.comparable ? rss.map((value, t) => (value === null ? null : Math.max(value, top[t]!))) : undefined;
    const axis = () => ({ stroke: css("--soft"), font: `12px ${css("--sans")}`, grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, border: { show: false } });
    const ceiling = 1.04 * Math.max(...top, show.rss ? mostRss : 0, show.limit ? (limit ?? 0) : 0, show.charged ? mostCharged : 0, 1);
    // A line between two layers would hide a thin one.
    const thick = (layer: Layer) => Math.max(...Array.from(layer.values)) > ceiling / 50;
    plot?.destroy();
    const width = Math.max(240, box.clientWidth);
    const options: uPlot.Options = {
      width, height: width < 500 ? 240 : 300,
      scales: { x: { time: false }, y: { range: () => [0, ceiling] } },
      axes: [
        { ...axis(), incrs: TIMES, values: (_u, splits) => splits.map(elapsed), space: 64, size: 28 },
        { ...axis(), incrs: POWERS, values: (_u, splits) => splits.map(tick), size: 68, space: 44 },
      ],
      series: [
        {},
        { label: "untracked", show: above !== undefined, points: { show: false }, width: 0 },
        ...order.map((layer, i) => ({ label: layer.name, fill: colors[i]!, ...(thick(layer) ? { stroke: css("--paper"), width: 1 } : { width: 0 }), points: { show: false } })),
        { label: "RSS", show: show.rss, stroke: css("--ink"), width: 1.75, points: { show: false } },
        { label: "charged", show: show.charged, stroke: css("--accent"), width: 1.5, dash: [2, 3], points: { show: false } },
        { label: "limit", show: show.limit, stroke: css("--Leak"), width: 1.5, dash: [6, 4], points: { show: false } },
      ],
      bands: above ? [{ series: [1, 2], fill: hatch as unknown as string }] : [],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
      hooks: {
        ready: [listen],
        setCursor: [(u) => u.cursor.idx != null && read(u.cursor.idx)],
        setSelect: [(u) => !restoring && select([u.posToIdx(u.select.left), u.posToIdx(u.select.left + u.select.width)], u.select.width)],
        draw: [(u) => label(u, order)],
      },
    };
    const values = [seconds, above ?? top, ...order.map((layer) => layer.upTo), rss ?? top.map(() => null), charged ?? top.map(() => null), seconds.map(() => limit ?? null)];
    plot = new uPlot(options, values as uPlot.AlignedData, box);
    box.classList.toggle("narrow", width < 500);
    mark();
    lead.textContent = `${bytes(data.total[0]!)} → ${bytes(data.total[last]!)} live in ${duration(seconds[last]! - seconds[0]!)}. Coloured: the ${layers.length - 1 || "no"} heaviest by ${WEIGHTS[view.state.weight].what}${show.limit || limit === undefined ? "" : `; the limit of ${bytes(limit)} is not drawn`}.`;
    lead.append(el("span", { class: "hint" }, " Drag to select a stretch: growth below then means growth within it."));
    drawLegend(order);
  }

  /** Shows the state's stretch on the chart. */
  function mark() {
    const { stretch } = view.state;
    restoring = true;
    const [left, right] = stretch ? stretch.map((step) => plot!.valToPos(seconds[step]!, "x")) : [0, 0];
    plot!.setSelect({ left: left!, width: right! - left!, top: 0, height: stretch ? plot!.over.clientHeight : 0 }, false);
    restoring = false;
  }

  function select([from, to]: Stretch, width: number) {
    if (width >= 4 && from < to) view.set({ stretch: [from, to] });
    else mark();
  }

  /** A click, unlike a drag, selects the stack whose layer it hits. */
  function listen(u: uPlot) {
    let down = 0;
    u.over.addEventListener("pointerdown", (event) => (down = event.clientX));
    u.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - down) >= 4) return;
      const area = u.over.getBoundingClientRect();
      const step = u.posToIdx(event.clientX - area.left);
      const value = u.posToVal(event.clientY - area.top, "y");
      const layer = layers.find((candidate) => candidate.upTo[step]! >= value);
      if (layer?.stack === undefined) return;
      view.set({ stack: layer.stack });
      announce(`Selected ${layer.name}`);
    });
  }

  /** Writes each layer's number where it is thickest in the later half, if it is thick enough there. */
  function label(u: uPlot, order: Layer[]) {
    const { ctx } = u;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.font = `600 ${11 * ratio}px ${css("--sans")}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    order.forEach((layer, rank) => {
      if (layer.stack === undefined) return;
      let step = last;
      for (let t = last; t >= steps / 2; t--) if (layer.values[t]! > 1.1 * layer.values[step]!) step = t;
      const x = Math.min(u.valToPos(seconds[step]!, "x", true), u.bbox.left + u.bbox.width - 10 * ratio);
      // Read the height where the number will stand, which is a little before the last snapshot.
      const at = u.posToVal((x - u.bbox.left) / ratio, "x");
      const right = Math.max(1, seconds.findIndex((second) => second >= at));
      const share = (at - seconds[right - 1]!) / (seconds[right]! - seconds[right - 1]! || 1);
      const between = (values: ArrayLike<number>) => values[right - 1]! + (values[right]! - values[right - 1]!) * share;
      const high = u.valToPos(between(layer.upTo), "y", true);
      const low = u.valToPos(between(layer.upTo) - between(layer.values), "y", true);
      if (low - high < 13 * ratio) return;
      ctx.fillStyle = layer.stack === view.state.stack ? css("--ink") : css("--chip-ink");
      ctx.fillText(String(rank + 1), x, (high + low) / 2);
    });
    ctx.restore();
  }

  function hatch(u: uPlot): CanvasPattern | string {
    const size = Math.round(7 * uPlot.pxRatio);
    const tile = el("canvas", { width: size, height: size });
    const paint = tile.getContext("2d");
    if (!paint) return css("--line");
    paint.strokeStyle = css("--hatch");
    paint.lineWidth = uPlot.pxRatio;
    paint.beginPath();
    paint.moveTo(0, size);
    paint.lineTo(size, 0);
    paint.stroke();
    return u.ctx.createPattern(tile, "repeat") ?? css("--line");
  }

  let anchor: number | undefined;
  box.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && view.state.stretch) {
      view.set({ stretch: undefined });
      return;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -steps, End: steps }[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    anchor = event.shiftKey ? (anchor ?? at) : undefined;
    const next = Math.min(last, Math.max(0, at + step));
    plot!.setCursor({ left: plot!.valToPos(seconds[next]!, "x"), top: 20 });
    read(next);
    if (anchor !== undefined) view.set({ stretch: anchor === next ? undefined : [Math.min(anchor, next), Math.max(anchor, next)] });
  });

  draw();
  view.on(["weight"], draw);
  view.on(["stretch"], () => (view.state.weight !== "count" ? draw() : (mark(), drawLegend([...layers].reverse()))));
  view.on(["stack"], () => { drawLegend([...layers].reverse()); plot!.redraw(false); });
  return draw;
}
