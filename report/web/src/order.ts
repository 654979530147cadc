// The order of the table: a sort of indices, so that 10,000 rows take milliseconds.

import type { Report } from "./report";
import type { Sort, State } from "./view";
import { weigh, whole } from "./weights";

/** The stacks that `kept` leaves, in the order asked for; ties keep the analysis' order. */
export function ordered(report: Report, state: State, kept: Uint8Array): Uint32Array {
  const stacks = Uint32Array.from(kept.keys()).filter((stack) => kept[stack]);
  const sign = state.descending ? -1 : 1;
  if (state.sort === "rank") return state.descending ? stacks.reverse() : stacks;
  if (state.sort === "name") {
    const { functions, placeFunction } = report.data;
    const place = new Map<number, number>();
    // The functions are sorted once, and stacks by their function's rank.
    [...functions.keys()].sort((a, b) => (functions[a]! < functions[b]! ? -1 : functions[a]! > functions[b]! ? 1 : 0)).forEach((index, rank) => place.set(index, rank));
    const rank = Float64Array.from(report.title, (title) => (title < 0 ? Infinity : place.get(placeFunction[title]!)!));
    return stacks.sort((a, b) => (rank[a] === rank[b] ? a - b : sign * (rank[a]! - rank[b]!)));
  }
  const values = column(report, state, state.sort);
  // What is not known comes last, whichever way the rest goes.
  return stacks.sort((a, b) => {
    const [x, y] = [values[a]!, values[b]!];
    if (x !== x || y !== y) return x !== x && y !== y ? a - b : x !== x ? 1 : -1;
    return x === y ? a - b : sign * (x - y);
  });
}

/** The numbers that a column sorts by. */
export function column(report: Report, state: State, sort: Exclude<Sort, "rank" | "name">): Float64Array {
  const stretch = state.stretch ?? whole(report);
  switch (sort) {
    case "class": return report.data.class.map((value) => (value === 0 ? NaN : value));
    case "rate": return report.growthPerHour;
    case "oldest": return report.oldest;
    default: return weigh(report, sort, stretch);
  }
}
