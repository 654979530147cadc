// What a stack weighs: the one choice that timeline, table and flame graph share.

import type { Report } from "./report";

export type Weight = "growth" | "live" | "allocated" | "count";
export const WEIGHTS: Record<Weight, { label: string; what: string }> = {
  growth: { label: "Growth", what: "change of live bytes" },
  live: { label: "Live", what: "live bytes" },
  allocated: { label: "Allocated", what: "bytes allocated" },
  count: { label: "Blocks", what: "live blocks at the end of the run" },
};

/** Two drawn snapshots, first and last of a stretch. */
export type Stretch = readonly [number, number];

/** The whole recording as a stretch. */
export const whole = (report: Report): Stretch => [0, Math.max(0, report.steps - 1)];

/** The weight of every stack; only growth can be negative. */
export function weigh(report: Report, weight: Weight, [from, to]: Stretch): Float64Array {
  const { data, steps } = report;
  if (weight === "allocated" && from === 0 && to === Math.max(0, steps - 1)) return data.allocatedBytes;
  if (weight === "count") return data.liveCount;
  const values = new Float64Array(report.stacks);
  if (!steps) return values;
  for (let stack = 0, at = 0; stack < values.length; stack++, at += steps) {
    values[stack] = data.live[at + to]! - (weight === "live" ? 0 : data.live[at + from]!);
  }
  if (weight !== "allocated") return values;
  const freed = data.freed();
  for (let stack = 0, at = 0; stack < values.length; stack++, at += steps) values[stack]! += freed[at + to]! - freed[at + from]!;
  return values;
}

/** Growth when anything grew, else what is there. */
export function defaultWeight(report: Report): Weight {
  if (report.steps < 2) return "live";
  return weigh(report, "growth", whole(report)).some((value) => value > 0) ? "growth" : "live";
}

/** The `count` heaviest stacks, heaviest first; none that weighs nothing. */
export function heaviest(values: Float64Array, count: number): number[] {
  const order = Uint32Array.from(values.keys()).filter((stack) => values[stack]! > 0);
  return Array.from(order.sort((a, b) => values[b]! - values[a]! || a - b).subarray(0, count));
}
