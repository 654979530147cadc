// Reads the data out of the page, draws the sections in order, and keeps the address in step with what is looked at.

import { drawAlerts } from "./alerts";
import { decode } from "./decode";
import { el, get } from "./dom";
import { filter } from "./filter";
import { drawFlame, type Flame } from "./flame";
import { setUpKeys } from "./help";
import { drawLimits } from "./limits";
import { drawPeak } from "./peak";
import { preparePrint } from "./print";
import { Report } from "./report";
import { drawTable } from "./table";
import { drawTakeaway } from "./takeaway";
import { legible } from "./text";
import { drawTimeline } from "./timeline";
import { drawTools } from "./tools";
import { count, duration, wallClock } from "./units";
import { drawVerdict, subject } from "./verdict";
import { fromHash, toHash, View, type State } from "./view";
import "./style.css";

performance.mark("leakhound:start");
try {
  await open();
} catch (error) {
  const failure = get("failure");
  failure.hidden = false;
  failure.textContent = `This report could not be read: ${error instanceof Error ? error.message : String(error)}. The file may be cut off or changed; write it again with leakhound report.`;
  get("main").hidden = true;
  get("opening").hidden = true;
  throw error;
}

async function open() {
  const source = get("data");
  const report = new Report(await decode(source.textContent ?? ""));
  source.remove();
  performance.mark("leakhound:decoded");
  // Charts measure where they stand: from here to the first paint everything is drawn.
  get("opening").hidden = true;
  get("main").hidden = false;
  const view = new View(fromHash(location.hash, report));

  header(report);
  drawVerdict(report);
  drawAlerts(report, reveal);
  const redrawTimeline = drawTimeline(report, view, reveal);
  drawPeak(report, reveal);
  const found = drawTools(report, view);
  const table = drawTable(report, view, {
    flame: (stack) => flame().reveal(stack),
    around: (place) => {
      flame();
      view.set({ shape: "sandwich", around: report.data.placeFunction[place]!, zoom: [] });
      goTo("flame");
    },
  });
  drawTakeaway(report, view, () => table.order);
  drawLimits(report);

  // The flame graph is made when it comes near the screen: nobody waits for what is not seen.
  let graph: Flame | undefined;
  let filtered = filter(report, view.state);
  function flame(): Flame {
    if (!graph) {
      graph = drawFlame(report, view);
      graph.show(filtered);
    }
    return graph;
  }
  new IntersectionObserver((entries, observer) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    flame();
  }, { rootMargin: "500px" }).observe(get("flame"));

  const apply = () => {
    filtered = filter(report, view.state);
    found(filtered);
    table.show(filtered);
    graph?.show(filtered);
  };
  apply();
  view.on(["query", "alertsOnly", "classes", "module"], apply);
  view.on(["stretch"], () => found(filtered));

  /** Opens a stack in the table, out of any filter that hides it. */
  function reveal(stack: number) {
    const hidden = filtered.stacks[stack] === 0;
    view.set({ stack, open: view.state.open.includes(stack) ? view.state.open : [...view.state.open, stack], ...(hidden ? { query: "", alertsOnly: false, classes: [], module: "" } : {}) });
    table.reveal(stack);
  }

  const redraw = () => {
    redrawTimeline();
    graph?.draw();
  };
  preparePrint(report, view, () => table.order, () => { flame(); redraw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  let resized = 0;
  addEventListener("resize", () => {
    if (innerWidth === width) return; // a phone's toolbar changes only the height
    width = innerWidth;
    clearTimeout(resized);
    resized = window.setTimeout(redraw, 120);
  });

  setUpKeys({
    "/": () => get("search").focus(),
    t: () => { goTo("stacks"); table.focus(); },
    f: () => { goTo("flame"); flame().focus(); },
    g: () => { goTo("timeline"); document.querySelector<HTMLElement>("#timeline .chart")?.focus({ preventScroll: true }); },
  });
  get("search").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    view.set({ query: get<HTMLInputElement>("search").value });
    table.focus();
  });
  for (const link of document.querySelectorAll<HTMLAnchorElement>('nav a, a.skip, .short-of a')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      goTo(link.hash.slice(1));
    });
  }
  keepAddress(report, view);
  if (view.state.stack !== undefined && location.hash) requestAnimationFrame(() => table.reveal(view.state.stack!));
  else if (view.state.zoom.length || view.state.around !== undefined) goTo("flame");
  performance.mark("leakhound:ready");
  performance.measure("leakhound:decode", "leakhound:start", "leakhound:decoded");
  performance.measure("leakhound:draw", "leakhound:decoded", "leakhound:ready");
  document.documentElement.dataset.ready = "";
}

/** Scrolls to a section and moves the keyboard there, leaving the address to the state. */
function goTo(id: string) {
  const section = get(id);
  section.scrollIntoView({ block: "start" });
  const heading = section.querySelector<HTMLElement>("h1, h2");
  heading?.setAttribute("tabindex", "-1");
  heading?.focus({ preventScroll: true });
}

function header(report: Report) {
  const { data } = report;
  const name = subject(report);
  document.title = `${name} – Leakhound report`;
  get("subject").append(
    el("b", {}, name),
    data.target.command ? el("code", {}, legible(data.target.command, 120)) : "",
    el("span", {}, [data.target.pod && `container ${legible(data.target.pod.container, 63)}`, data.startedUnixMs === null ? undefined : wallClock(data.startedUnixMs, true), duration(data.durationSeconds), `${count(data.snapshotCount)} snapshot${data.snapshotCount === 1 ? "" : "s"}`].filter(Boolean).join(", ")));
  get("colophon").append(`Leakhound${data.host.version ? ` ${legible(data.host.version, 40)}` : ""}. This file holds everything it shows and asks the network for nothing.`);
}

function keepAddress(report: Report, view: View) {
  const keys = Object.keys(view.state) as (keyof State)[];
  let written = 0;
  view.on(keys, () => {
    clearTimeout(written);
    written = window.setTimeout(() => history.replaceState(null, "", `#${toHash(view.state, report)}`), 80);
  });
  addEventListener("hashchange", () => view.set(fromHash(location.hash, report)));
}
