// The report as the sections ask for it: derived once from the decoded data, read by all, changed by none.

import { measured, type ClassName, type Data } from "./decode";

export type Origin = "application" | "allocator" | "runtime";
const ORIGINS: Origin[] = ["application", "allocator", "runtime"];

export interface Place {
  function: string;
  file: string | undefined;
  line: number;
  module: string;
  inlined: boolean;
  origin: Origin;
  /** Has a name, and not only an address. */
  named: boolean;
}

export interface Evidence {
  because: string | undefined;
  slope: [number, number] | undefined;
  trend: number | undefined;
  growingShare: number | undefined;
  deceleration: number | undefined;
  survival: number | undefined;
}

export interface CohortLine {
  /** Seconds since the start at which the cohort was complete. */
  end: number;
  allocated: number;
  /** Seconds since its end, share of it still live. */
  points: [number, number][];
}

export type Block = Data["blocks"][number][1];

export class Report {
  /** Seconds since the start of each drawn snapshot. */
  readonly seconds: number[];
  readonly steps: number;
  readonly stacks: number;
  /** For each stack the place that names it: the first frame of the program itself. */
  readonly title: Int32Array;
  /** Growth per hour of each stack: the analysis' slope, else the straight line from the first to the last snapshot. */
  readonly growthPerHour: Float64Array;
  /** Age in seconds of the oldest block known of each stack, NaN when none is. */
  readonly oldest: Float64Array;
  readonly rss: (number | null)[];
  readonly anonymous: (number | null)[];
  /** Bytes charged to the target's cgroup: what its limit counts. */
  readonly charged: (number | null)[];
  /** Live bytes are part of the resident memory: not so of the kernel's own. */
  readonly comparable: boolean;
  readonly peakStep: number;
  readonly alerted: Uint8Array;
  private readonly blocksOf = new Map<number, Block[]>();
  private readonly cohortsOf = new Map<number, CohortLine[]>();

  constructor(readonly data: Data) {
    this.seconds = Array.from(data.time, (ms) => ms / 1000);
    this.steps = this.seconds.length;
    this.stacks = data.id.length;
    this.title = Int32Array.from({ length: this.stacks }, (_, stack) => this.findTitle(stack));
    const known = (column: Float64Array) => Array.from(column, (value) => (value ? value - 1 : null));
    this.rss = known(data.rss);
    this.anonymous = known(data.anonymous);
    this.charged = known(data.charged);
    this.comparable = data.mode !== "Kernel";
    this.growthPerHour = Float64Array.from({ length: this.stacks }, (_, stack) => this.slope(stack));
    const peak = this.seconds.findIndex((second) => second >= data.peakSeconds - 0.0006);
    this.peakStep = peak < 0 ? Math.max(0, this.steps - 1) : peak;
    this.alerted = new Uint8Array(this.stacks);
    for (const [stack] of data.alerts) this.alerted[stack] = 1;
    this.oldest = new Float64Array(this.stacks).fill(NaN);
    for (const [stack, block] of data.blocks) {
      const blocks = this.blocksOf.get(stack);
      if (blocks) blocks.push(block);
      else this.blocksOf.set(stack, [block]);
      if (!(this.oldest[stack]! >= block.ageSeconds)) this.oldest[stack] = block.ageSeconds;
    }
    this.readCohorts();
  }

  live(stack: number, step: number): number {
    return this.steps ? this.data.live[stack * this.steps + step]! : 0;
  }

  lastLive(stack: number): number {
    return this.steps ? this.live(stack, this.steps - 1) : 0;
  }

  /** Standard error of the live bytes at the end, where a sample can only estimate them. */
  error(stack: number): number | undefined {
    return this.data.liveError[stack] || undefined;
  }

  series(stack: number): Float64Array {
    return this.data.live.subarray(stack * this.steps, (stack + 1) * this.steps);
  }

  class(stack: number): ClassName | undefined {
    return this.data.classes[this.data.class[stack]! - 1];
  }

  id(stack: number): number {
    return this.data.id[stack]!;
  }

  stackOf(id: number): number | undefined {
    const stack = this.data.id.indexOf(id);
    return stack < 0 ? undefined : stack;
  }

  cut(stack: number): string | undefined {
    return this.data.cuts[this.data.cut[stack]! - 1];
  }

  blocks(stack: number): Block[] {
    return this.blocksOf.get(stack) ?? [];
  }

  cohorts(stack: number): CohortLine[] {
    return this.cohortsOf.get(stack) ?? [];
  }

  evidence(stack: number): Evidence {
    const d = this.data;
    const [low, high] = [measured(d.slopeLow[stack], 1), measured(d.slopeHigh[stack], 1)];
    return {
      because: d.because[stack],
      slope: low !== undefined && high !== undefined ? [low, high] : undefined,
      trend: measured(d.trend[stack], 1e6),
      growingShare: measured(d.growingShare[stack], 1e3),
      deceleration: measured(d.deceleration[stack], 1e3),
      survival: measured(d.survival[stack], 1e3),
    };
  }

  /** Places of a stack, innermost first. Node n of the tree is at n - 1 in the columns; 0 is the root. */
  places(stack: number): number[] {
    const { nodeParent, nodePlace, leaf } = this.data;
    const path: number[] = [];
    for (let node = leaf[stack]!; node > 0; node = nodeParent[node - 1]!) path.push(nodePlace[node - 1]!);
    return path;
  }

  origin(place: number): Origin {
    return ORIGINS[(this.data.placeKind[place]! >> 1) & 3]!;
  }

  place(place: number): Place {
    const d = this.data;
    const kind = d.placeKind[place]!;
    return {
      function: d.functions[d.placeFunction[place]!]!,
      file: d.files[d.placeFile[place]! - 1],
      line: d.placeLine[place]!,
      module: d.modules[d.placeModule[place]! - 1] ?? "",
      inlined: (kind & 1) === 1,
      origin: this.origin(place),
      named: (kind & 8) === 0,
    };
  }

  /** The place that names a stack; nothing when the stack has no frames. */
  titlePlace(stack: number): Place | undefined {
    const place = this.title[stack]!;
    return place < 0 ? undefined : this.place(place);
  }

  private findTitle(stack: number): number {
    const { nodeParent, nodePlace, placeKind, leaf } = this.data;
    let runtime = -1;
    let any = -1;
    for (let node = leaf[stack]!; node > 0; node = nodeParent[node - 1]!) {
      const place = nodePlace[node - 1]!;
      const origin = (placeKind[place]! >> 1) & 3;
      if (origin === 0) return place;
      if (any < 0) any = place;
      if (runtime < 0 && origin === 2) runtime = place;
    }
    return runtime < 0 ? any : runtime;
  }

  private slope(stack: number): number {
    const slope = measured(this.data.growthPerHour[stack], 1);
    if (slope !== undefined) return slope;
    const seconds = this.steps > 1 ? this.seconds[this.steps - 1]! - this.seconds[0]! : 0;
    return seconds > 0 ? ((this.lastLive(stack) - this.live(stack, 0)) * 3600) / seconds : 0;
  }

  private readCohorts() {
    const { cohortStack, cohortEnd, cohortAllocated, cohortFrom, cohortLive } = this.data;
    let at = 0;
    cohortStack.forEach((stack, line) => {
      const end = cohortEnd[line]! / 1000;
      const allocated = cohortAllocated[line]!;
      const points: [number, number][] = [];
      for (let step = cohortFrom[line]!; step < this.steps; step++) {
        points.push([Math.max(0, this.seconds[step]! - end), Math.min(1, cohortLive[at++]! / allocated)]);
      }
      if (!points.length) return;
      const lines = this.cohortsOf.get(stack) ?? [];
      lines.push({ end, allocated, points });
      this.cohortsOf.set(stack, lines);
    });
  }
}
