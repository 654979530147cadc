// A report small enough to know by heart, packed as Rust packs it and decoded as the page does.

import { deflateSync } from "node:zlib";
import { decode } from "../../src/decode.ts";
import { Report } from "../../src/report.ts";

export interface Sketch {
  /** Frames of each stack, innermost first: `function`, `function@file:line`, with `*` before an allocator's and `~` before a runtime's. */
  stacks: string[][];
  /** Live bytes of each stack at each snapshot. */
  live: number[][];
  classes?: string[];
  facts?: Record<string, unknown>;
  columns?: Record<string, number[]>;
}

const CLASSES = ["Leak", "Suspected", "Saturating", "Plateau", "Sawtooth", "Step", "Transient", "Inconclusive"];

export const varint = (values: number[]): Buffer => {
  const bytes: number[] = [];
  for (const value of values) {
    let zigzag = value < 0 ? -2 * value - 1 : 2 * value;
    for (; zigzag > 127; zigzag = Math.floor(zigzag / 128)) bytes.push((zigzag % 128) | 128);
    bytes.push(zigzag);
  }
  return Buffer.from(bytes);
};
const differences = (values: number[], stride = Infinity) => values.map((value, i) => (i % stride ? value - values[i - 1]! : value));

export function packed({ stacks, live, classes = [], facts = {}, columns: extra = {} }: Sketch): string {
  const [functions, files, places, nodes]: [string[], string[], string[], [number, number][]] = [[], [], [], []];
  const index = (table: string[], value: string) => (table.includes(value) ? table.indexOf(value) : table.push(value) - 1);
  const leaf = stacks.map((frames) => [...frames].reverse().reduce((parent, frame) => {
    const place = index(places, frame);
    const known = nodes.findIndex(([of, at]) => of === parent && at === place);
    return known >= 0 ? known + 1 : nodes.push([parent, place]);
  }, 0));
  const parsed = places.map((text) => /^([*~]?)([^@]*)(?:@(.*):(\d+))?$/.exec(text)!);
  const steps = live[0]?.length ?? 0;
  const total = Array.from({ length: steps }, (_, t) => live.reduce((sum, series) => sum + series[t]!, 0));
  const zero = () => stacks.map(() => 0);
  const columns: Record<string, number[]> = {
    placeFunction: parsed.map(([, , name]) => index(functions, name!)),
    placeFile: parsed.map(([, , , file]) => (file ? index(files, file) + 1 : 0)),
    placeLine: parsed.map(([, , , , line]) => Number(line ?? 0)),
    placeModule: parsed.map(([, kind]) => (kind ? 2 : 1)),
    placeKind: parsed.map(([, kind]) => 2 * ["", "*", "~"].indexOf(kind!)),
    nodeParent: differences(nodes.map(([parent]) => parent)),
    nodePlace: nodes.map(([, place]) => place),
    leaf: differences(leaf),
    id: differences(stacks.map((_, i) => 100 + i)),
    cut: zero(),
    live: live.flatMap((series) => differences(series)),
    freed: live.flatMap((series) => series.map(() => 0)),
    liveError: zero(), liveCount: zero(), allocatedBytes: zero(), allocatedCount: zero(),
    class: stacks.map((_, i) => CLASSES.indexOf(classes[i] ?? "") + 1),
    growthPerHour: zero(), slopeLow: zero(), slopeHigh: zero(), trend: zero(), growingShare: zero(), deceleration: zero(), survival: zero(),
    time: differences(Array.from({ length: steps }, (_, t) => 10_000 * (t + 1))), total, rss: total.map(() => 0), anonymous: total.map(() => 0), charged: total.map(() => 0),
    cohortStack: [], cohortEnd: [], cohortAllocated: [], cohortFrom: [], cohortLive: [],
    ...extra,
  };
  const parts = Object.entries(columns).map(([name, values]) => [name, varint(values)] as const);
  const head = Buffer.from(JSON.stringify({
    source: "leakhound", mode: "Heap", target: { pids: [1], command: "app" }, settings: { cohortNs: 0 }, host: {}, allocators: [], startedUnixMs: null,
    durationSeconds: 10 * steps, snapshotCount: steps, verdict: { name: "Inconclusive", confidencePercent: 0, reasons: [] }, totals: {}, peakSeconds: 10,
    alerts: [], ledger: [], overhead: {}, events: [], eventsLeftOut: 0, endReason: "duration", keptAs: null, functions, files, modules: ["/bin/app", "/lib/libc.so.6"],
    classes: CLASSES, cuts: [], because: [], blocks: [], stacksWithCohorts: 0, ...facts,
    columns: parts.map(([name, bytes]) => [name, bytes.length]),
  }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(head.length);
  return deflateSync(Buffer.concat([length, head, ...parts.map(([, bytes]) => bytes)])).toString("base64");
}

export const report = async (sketch: Sketch): Promise<Report> => new Report(await decode(packed(sketch)));

/** Three stacks through one handler: a leak, a cache behind the standard library, and start-up. */
export const server = () => report({
  stacks: [
    ["*malloc", "session_new@src/session.c:8", "handle@src/handle.c:3", "main@src/main.c:1", "~_start"],
    ["*malloc", "~std::vector::push_back", "cache_put@src/cache.c:9", "~std::for_each", "handle@src/handle.c:3", "main@src/main.c:1", "~_start"],
    ["*malloc", "config@src/config.c:5", "main@src/main.c:1", "~_start"],
  ],
  live: [[10, 20, 30], [50, 80, 40], [7, 7, 7]],
  classes: ["Leak", "Sawtooth", "Plateau"],
});
