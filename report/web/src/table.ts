// All stacks: sorted by any column, filtered, opened in place. Only the rows in sight are in the document.

import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from "@tanstack/virtual-core";
import { badge, settled, sparkline } from "./classes";
import { detail, type DetailActions } from "./detail";
import { el, get } from "./dom";
import type { Filtered } from "./filter";
import { column, ordered } from "./order";
import type { Report } from "./report";
import { base, legible, short, tail } from "./text";
import { bytes, count, perHour, rough, signed } from "./units";
import type { Sort, View } from "./view";
import { words } from "./words";

const COLUMNS: { sort: Sort; label: string; title: string; down: boolean }[] = [
  { sort: "rank", label: "#", title: "most suspicious first", down: false },
  { sort: "class", label: "Class", title: "how its live bytes behaved", down: false },
  { sort: "name", label: "Allocated in", title: "first function of the program itself", down: false },
  { sort: "growth", label: "Growth", title: "change of live bytes in the recording, or in the stretch selected in the timeline", down: true },
  { sort: "rate", label: "Per hour", title: "Theil–Sen slope of the live bytes", down: true },
  { sort: "live", label: "Live", title: "allocated and not freed, at the end", down: true },
  { sort: "count", label: "Blocks", title: "live blocks at the end", down: true },
  { sort: "allocated", label: "Allocated", title: "allocated in the recording, or in the stretch selected in the timeline, freed or not", down: true },
  { sort: "oldest", label: "Oldest", title: "age of the oldest live block known", down: true },
];
const ROW = 46;

export interface Table {
  /** Lists what a filter leaves. */
  show: (filtered: Filtered) => void;
  /** Brings a stack into sight and gives the table the keyboard. */
  reveal: (stack: number) => void;
  /** The stacks in the order shown. */
  readonly order: Uint32Array;
  focus: () => void;
}

export function drawTable(report: Report, view: View, actions: Omit<DetailActions, "resized">): Table {
  const head = el("div", { role: "row", class: "cells head", "aria-rowindex": 1 });
  const rows = el("div", { role: "presentation", class: "rows" });
  const grid = el("div", { id: "grid", role: "grid", tabindex: 0, "aria-label": "Stacks. Up and Down move, Enter opens, Left closes.", "aria-keyshortcuts": "t" }, el("div", { role: "rowgroup", class: "headgroup" }, head), rows);
  const empty = el("p", { class: "empty", hidden: true });
  const sortBy = el("select", { "aria-label": "Sort by" }, ...COLUMNS.map(({ sort, label, title }) => el("option", { value: sort }, sort === "rank" ? "Most suspicious" : label, sort === "rank" ? "" : `: ${title}`)));
  get("stacks-body").append(el("p", { class: "sortby" }, el("label", {}, "Sort by ", sortBy)), grid, empty);
  sortBy.addEventListener("change", () => sort(sortBy.value as Sort, false));

  let order: Uint32Array = new Uint32Array();
  let current = 0;
  let growth = column(report, view.state, "growth");
  let live = column(report, view.state, "live");
  let allocated = column(report, view.state, "allocated");
  let kept: Uint8Array = new Uint8Array(report.stacks).fill(1);
  const drawn = new Map<number, HTMLElement>();
  const virtual = new Virtualizer<HTMLElement, HTMLElement>({
    count: 0, getScrollElement: () => grid, estimateSize: () => ROW, overscan: 6, getItemKey: (index) => order[index] ?? -1,
    scrollToFn: elementScroll, observeElementRect, observeElementOffset, onChange: () => paint(),
  });

  function cells(stack: number): HTMLElement {
    const { data } = report;
    const place = report.titlePlace(stack);
    const name = place ? short(place.function, 160) : "(no frames)";
    const where = place ? [place.file && `${legible(tail(place.file), 80)}${place.line ? `:${place.line}` : ""}`, place.module && legible(base(place.module), 40)].filter(Boolean).join(" · ") : "";
    const oldest = report.oldest[stack]!;
    // The error is known for the end only.
    const error = (view.state.stretch?.[1] ?? report.steps - 1) === report.steps - 1 ? report.error(stack) : undefined;
    const cell = (kind: string, ...children: (Node | string)[]) => el("div", { role: "gridcell", class: kind }, ...children);
    return el("div", { role: "row", class: "cells", id: `row-${stack}` },
      cell("rank", count(stack + 1)),
      cell("class", badge(report.class(stack))),
      cell("name", el("span", { class: "title" }, el("code", {}, name)), el("small", {}, where)),
      cell("trend", sparkline(report.series(stack), report.class(stack), "live bytes over time")),
      cell("growth number", signed(growth[stack]!)),
      cell(`rate number${settled(report.class(stack)) ? " settled" : ""}`, perHour(report.growthPerHour[stack]!)),
      cell("live number", bytes(live[stack]!), ...(error ? [el("small", {}, `± ${bytes(error)}`)] : [])),
      cell("count number", count(data.liveCount[stack]!)),
      cell("allocated number", data.allocatedBytes[stack] ? bytes(allocated[stack]!) : "–"),
      cell("oldest number", oldest === oldest ? rough(oldest) : "–"));
  }

  function paint() {
    const items = virtual.getVirtualItems();
    const keep = new Set(items.map((item) => item.key as number));
    rows.style.blockSize = `${virtual.getTotalSize()}px`;
    for (const [stack, node] of drawn) {
      if (keep.has(stack)) continue;
      node.remove();
      drawn.delete(stack);
    }
    for (const item of items) {
      const stack = item.key as number;
      let row = drawn.get(stack);
      if (!row) {
        row = el("div", { role: "presentation", class: "row", "data-stack": stack }, cells(stack));
        if (view.state.open.includes(stack)) {
          const open = row;
          const resized = () => virtual.measureElement(open);
          row.append(el("div", { role: "row", class: "opened" }, el("div", { role: "gridcell", "aria-colspan": COLUMNS.length + 1 }, detail(report, stack, { ...actions, resized }))));
        }
        drawn.set(stack, row);
        rows.append(row);
      }
      row.dataset.index = String(item.index);
      const line = row.firstElementChild!;
      line.setAttribute("aria-rowindex", String(item.index + 2));
      line.setAttribute("aria-expanded", String(view.state.open.includes(stack)));
      line.setAttribute("aria-selected", String(stack === view.state.stack));
      row.classList.toggle("current", item.index === current);
      row.classList.toggle("selected", stack === view.state.stack);
      row.style.transform = `translateY(${item.start}px)`;
      virtual.measureElement(row);
    }
    const active = order[current];
    if (active !== undefined && drawn.has(active)) grid.setAttribute("aria-activedescendant", `row-${active}`);
    else grid.removeAttribute("aria-activedescendant");
  }

  function forget() {
    for (const node of drawn.values()) node.remove();
    drawn.clear();
  }

  function list(keepPlace: boolean) {
    const stay = keepPlace ? order[current] : undefined;
    order = ordered(report, view.state, kept);
    current = Math.max(0, stay === undefined ? 0 : order.indexOf(stay));
    growth = column(report, view.state, "growth");
    live = column(report, view.state, "live");
    allocated = column(report, view.state, "allocated");
    forget();
    grid.setAttribute("aria-rowcount", String(order.length + 1));
    grid.hidden = order.length === 0;
    empty.hidden = order.length > 0;
    empty.textContent = report.stacks ? "No stack matches. Remove a word or a chip above." : "The recording has no stack: nothing was allocated while watched, or nothing could be followed.";
    // A short list needs no scrolling of its own, whatever is open in it.
    grid.classList.toggle("short", order.length * ROW < 420);
    virtual.setOptions({ ...virtual.options, count: order.length });
    virtual._willUpdate();
    virtual.measure();
    if (!keepPlace) grid.scrollTop = 0;
    paint();
    for (const cell of head.children) {
      const on = (cell as HTMLElement).dataset.sort === view.state.sort;
      if ((cell as HTMLElement).dataset.sort) cell.setAttribute("aria-sort", !on ? "none" : view.state.descending ? "descending" : "ascending");
    }
    sortBy.value = view.state.sort;
  }

  function sort(by: Sort, turn: boolean) {
    const usual = COLUMNS.find((candidate) => candidate.sort === by)!.down;
    view.set({ sort: by, descending: turn && view.state.sort === by ? !view.state.descending : usual });
  }

  function toggle(index: number, open?: boolean) {
    const stack = order[index];
    if (stack === undefined) return;
    const isOpen = view.state.open.includes(stack);
    const next = open ?? !isOpen;
    current = index;
    view.set({ stack, open: next === isOpen ? view.state.open : next ? [...view.state.open, stack] : view.state.open.filter((other) => other !== stack) });
  }

  function move(to: number) {
    current = Math.min(order.length - 1, Math.max(0, to));
    virtual.scrollToIndex(current);
    paint();
  }

  for (const { sort: by, label, title } of COLUMNS) {
    const cell = el("div", { role: "columnheader", class: `${by}${["rank", "class", "name"].includes(by) ? "" : " number"}`, "data-sort": by }, el("button", { type: "button", title, onclick: () => sort(by, true) }, by === "name" ? words(report.data.mode).place : label));
    head.append(cell);
    if (by === "name") head.append(el("div", { role: "columnheader", class: "trend" }, "Trend"));
  }
  rows.addEventListener("click", (event) => {
    const line = (event.target as Element).closest<HTMLElement>(".cells");
    const row = line?.closest<HTMLElement>(".row");
    // A click that ends a selection of text is not a click on the row.
    if (row && !getSelection()?.toString()) toggle(Number(row.dataset.index));
  });
  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -order.length, End: order.length }[event.key];
    const sorted = COLUMNS[Number(event.key) - 1];
    if (step !== undefined) move(current + step);
    else if (event.key === "Enter" || event.key === " ") toggle(current);
    else if (event.key === "ArrowRight") toggle(current, true);
    else if (event.key === "ArrowLeft") toggle(current, false);
    else if (sorted) sort(sorted.sort, true);
    else return;
    event.preventDefault();
  });

  virtual._didMount();
  view.on(["sort", "descending"], () => list(false));
  view.on(["stretch"], () => list(true));
  view.on(["open"], () => {
    forget();
    virtual._willUpdate();
    paint();
  });
  view.on(["stack"], () => {
    const index = view.state.stack === undefined ? -1 : order.indexOf(view.state.stack);
    if (index >= 0 && index !== current) move(index);
    else paint();
  });

  return {
    show(filtered) {
      kept = filtered.stacks;
      list(false);
    },
    reveal(stack) {
      const index = order.indexOf(stack);
      if (index >= 0) {
        move(index);
        virtual.scrollToIndex(index, { align: "start" });
      }
      grid.scrollIntoView({ block: "nearest" });
      grid.focus({ preventScroll: true });
    },
    get order() {
      return order;
    },
    focus: () => grid.focus(),
  };
}
