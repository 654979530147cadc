// What Rust packed (report/src/html/page.rs and encode.rs), as typed arrays:
// base64 -> zlib -> [u32 length of the facts][facts as JSON][zigzag varint columns].

/** A container of a pod, by the names that `kubectl` takes. */
export interface Pod {
  namespace: string;
  name: string;
  container: string;
}

export interface Facts {
  source: "leakhound" | "memleak-bcc" | "memleak-libbpf";
  mode: "Heap" | "Growth" | "Kernel";
  target: { pids: number[]; command: string; launched?: boolean; container?: string; pod?: Pod; memoryLimitBytes?: number };
  settings: { durationNs: number; intervalNs: number; minSizeBytes: number; samplePeriodBytes: number; cohortNs: number };
  host: { kernel: string; architecture: string; version: string; attach: string };
  allocators: { family: string; module: string; functions: string[] }[];
  startedUnixMs: number | null;
  durationSeconds: number;
  snapshotCount: number;
  verdict: { name: VerdictName; confidencePercent: number; reasons: string[]; secondsToLimit?: number; secondsToLimitInterval?: [number, number | null] };
  totals: { liveBytes: number; liveErrorBytes?: number; liveCount: number; allocatedBytes: number; allocatedCount: number; freedBytes: number; freedCount: number };
  peakSeconds: number;
  /** Index of the stack, bytes in the first and in the last snapshot. */
  alerts: [number, number, number][];
  ledger: [string, number][];
  overhead: { attachSeconds: number; detachSeconds: number; events: number; eventsPerSecond: number; probeNanoseconds: number; cpuBefore?: number; cpuDuring?: number; cpuAfter?: number };
  /** Seconds since the start, process, kind, detail. */
  events: [number, number | null, string, string][];
  eventsLeftOut: number;
  endReason: string | null;
  /** File that the recording is kept in, where that is known. */
  keptAs: string | null;
  functions: string[];
  files: string[];
  modules: string[];
  classes: ClassName[];
  cuts: string[];
  because: string[];
  blocks: [number, { address: string; sizeBytes: number; ageSeconds: number; pid: number; tid: number }][];
  stacksWithCohorts: number;
}
export type VerdictName = "LeakLikely" | "GrowthUnexplained" | "AllocatorRetention" | "OffHeapGrowth" | "NoLeakObserved" | "Inconclusive";
export type ClassName = "Leak" | "Suspected" | "Saturating" | "Plateau" | "Sawtooth" | "Step" | "Transient" | "Inconclusive";

const COLUMNS = [
  "placeFunction", "placeFile", "placeLine", "placeModule", "placeKind", "nodeParent", "nodePlace", "leaf",
  "id", "cut", "live", "liveError", "liveCount", "allocatedBytes", "allocatedCount", "class",
  "growthPerHour", "slopeLow", "slopeHigh", "trend", "growingShare", "deceleration", "survival",
  "time", "total", "rss", "anonymous", "charged",
  "cohortStack", "cohortEnd", "cohortAllocated", "cohortFrom", "cohortLive",
] as const;
type ColumnName = (typeof COLUMNS)[number];
export type Column = Float64Array;
export type Data = Facts & Record<ColumnName, Column> & {
  /** Bytes freed by each stack until each snapshot: unpacked when it is first asked for, as few readers do. */
  freed: () => Column;
};

/** The data of this page; throws with a sentence for a person when it is damaged. */
export async function decode(text: string): Promise<Data> {
  const bytes = await inflate(text);
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const { columns: lengths, ...facts } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, end))) as Facts & { columns: [string, number][] };
  const packed = new Map<string, Uint8Array>();
  let at = end;
  for (const [name, length] of lengths) {
    packed.set(name, bytes.subarray(at, at + length));
    at += length;
  }
  const column = (name: ColumnName | "freed") => {
    const found = packed.get(name);
    if (!found) throw new Error(`the data of this report has no column ${name}`);
    return varints(found);
  };
  let freed: Column | undefined;
  const data: Data = {
    ...facts, ...(Object.fromEntries(COLUMNS.map((name) => [name, column(name)])) as Record<ColumnName, Column>),
    freed: () => (freed ??= accumulate(column("freed"), data.time.length)),
  };
  for (const name of ["time", "id", "nodeParent", "leaf", "cohortLive"] as const) accumulate(data[name], Infinity);
  accumulate(data.live, data.time.length);
  return data;
}

async function inflate(text: string): Promise<Uint8Array> {
  const packed = atob(text.trim());
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  // fetch("data:...") would be simpler, but the content policy allows no connection at all.
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function varints(bytes: Uint8Array): Column {
  const out = new Float64Array(bytes.length);
  let count = 0;
  for (let at = 0; at < bytes.length; ) {
    let byte = bytes[at++]!;
    let value = byte & 127;
    // Beyond 32 bits shifts would wrap, so the rest is multiplied.
    for (let scale = 128; byte > 127 && at < bytes.length; scale *= 128) {
      byte = bytes[at++]!;
      value += (byte & 127) * scale;
    }
    out[count++] = value % 2 ? -(value + 1) / 2 : value / 2;
  }
  return out.slice(0, count);
}

/** Turns differences back into values, beginning again at every `stride`. */
export function accumulate(column: Column, stride: number): Column {
  for (let i = 1; i < column.length; i++) if (i % stride) column[i]! += column[i - 1]!;
  return column;
}

/** A measured value of a column made by `scaled` in Rust: 0 is nothing. */
export function measured(value: number | undefined, scale: number): number | undefined {
  if (!value) return undefined;
  return (value < 0 ? value : value - 1) / scale;
}
