// What the reader is looking at: one value, written into the address so that "look at this" is one link to the same file.

import type { ClassName } from "./decode";
import type { Report } from "./report";
import { defaultWeight, WEIGHTS, type Stretch, type Weight } from "./weights";

export type Shape = "calls" | "inverted" | "sandwich";
export const SORTS = ["rank", "class", "name", "growth", "rate", "live", "count", "allocated", "oldest"] as const;
export type Sort = (typeof SORTS)[number];

export interface State {
  query: string;
  alertsOnly: boolean;
  /** Empty for all. */
  classes: readonly ClassName[];
  /** Path of a module, empty for all. */
  module: string;
  weight: Weight;
  sort: Sort;
  descending: boolean;
  /** Absent for the whole recording. */
  stretch: Stretch | undefined;
  /** Index of the selected stack. */
  stack: number | undefined;
  /** Indices of the stacks whose rows are open. */
  open: readonly number[];
  shape: Shape;
  /** Functions from the root of the flame graph to the frame zoomed to. */
  zoom: readonly number[];
  /** The function whose callers and callees are shown. */
  around: number | undefined;
  /** Runtime and allocator frames are folded away. */
  folded: boolean;
  /** The flame graph has only the stacks that the filter leaves. */
  focused: boolean;
}

export const initial = (report: Report): State => ({
  query: "", alertsOnly: false, classes: [], module: "", weight: defaultWeight(report), sort: "rank", descending: false,
  stretch: undefined, stack: undefined, open: [], shape: "calls", zoom: [], around: undefined, folded: true, focused: false,
});

/** The state as the part of an address after `#`; what is as it was at first is left out. */
export function toHash(state: State, report: Report): string {
  const first = initial(report);
  const out = new URLSearchParams();
  const put = (name: string, value: string, usual: string) => value !== usual && out.set(name, value);
  put("q", state.query, "");
  put("alerts", state.alertsOnly ? "1" : "", "");
  put("class", state.classes.join(","), "");
  put("module", state.module, "");
  put("weight", state.weight, first.weight);
  put("sort", `${state.descending ? "-" : ""}${state.sort}`, first.sort);
  put("time", state.stretch?.join("-") ?? "", "");
  put("stack", state.stack === undefined ? "" : String(report.id(state.stack)), "");
  put("open", state.open.map((stack) => report.id(stack)).join(","), "");
  put("shape", state.shape, "calls");
  put("zoom", state.zoom.join("."), "");
  put("around", state.around === undefined ? "" : String(state.around), "");
  put("frames", state.folded ? "" : "all", "");
  put("focus", state.focused ? "1" : "", "");
  return out.toString();
}

/** The state that an address asks for. Whatever in it makes no sense for this report is passed over. */
export function fromHash(hash: string, report: Report): State {
  const first = initial(report);
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (name: string) => asked.get(name) ?? "";
  const numbers = (name: string, separator: string) =>
    text(name).split(separator).filter((part) => /^\d{1,15}$/.test(part)).map(Number);
  const stacks = (ids: number[]) => ids.map((id) => report.stackOf(id)).filter((stack) => stack !== undefined);
  const sort = text("sort").replace(/^-/, "") as Sort;
  const [from, to] = numbers("time", "-");
  const functions = report.data.functions.length + 1;
  const [around] = numbers("around", ".");
  return {
    query: text("q").slice(0, 1000),
    alertsOnly: text("alerts") === "1",
    classes: report.data.classes.filter((name) => text("class").split(",").includes(name)),
    module: report.data.modules.includes(text("module")) ? text("module") : "",
    weight: Object.hasOwn(WEIGHTS, text("weight")) ? (text("weight") as Weight) : first.weight,
    sort: SORTS.includes(sort) ? sort : first.sort,
    descending: SORTS.includes(sort) ? text("sort").startsWith("-") : first.descending,
    stretch: from !== undefined && to !== undefined && from < to && to < report.steps ? [from, to] : undefined,
    stack: stacks(numbers("stack", ","))[0],
    open: stacks(numbers("open", ",").slice(0, 50)),
    shape: (["calls", "inverted", "sandwich"] as const).find((shape) => shape === text("shape")) ?? "calls",
    zoom: numbers("zoom", ".").filter((id) => id < functions).slice(0, 600),
    around: around !== undefined && around < functions ? around : undefined,
    folded: text("frames") !== "all",
    focused: text("focus") === "1",
  };
}

/** Holds the state; listeners hear what changed. */
export class View {
  private readonly listeners: ((changed: ReadonlySet<keyof State>) => void)[] = [];

  constructor(private current: State) {}

  get state(): State {
    return this.current;
  }

  set(patch: Partial<State>) {
    const changed = new Set<keyof State>();
    for (const key of Object.keys(patch) as (keyof State)[]) if (patch[key] !== this.current[key]) changed.add(key);
    if (!changed.size) return;
    this.current = { ...this.current, ...patch };
    for (const listener of this.listeners) listener(changed);
  }

  /** Calls `listener` whenever one of `keys` changed. */
  on(keys: readonly (keyof State)[], listener: () => void) {
    this.listeners.push((changed) => keys.some((key) => changed.has(key)) && listener());
  }
}
