// The flame graph's tree, in any direction: from the outermost function in, from the allocation site out, or around one
// function. Children are grouped when they are asked for, so a tree of 120,000 nodes costs only what is looked at.

import type { Report } from "./report";

/** Every stack as a run of names, outermost first. */
export interface Paths {
  /** Where each stack's run begins; one more than there are stacks. */
  start: Int32Array;
  /** Function by position, or `folded` for a run of runtime frames. */
  names: Int32Array;
  /** Place by position; of a folded run, its innermost. */
  places: Int32Array;
  /** The number that stands for a folded run. */
  folded: number;
}

/** `fold` leaves out the frames of allocator and runtime at both ends and makes one of each run between. */
export function paths(report: Report, fold: boolean): Paths {
  const { nodeParent, nodePlace, placeFunction, placeKind, leaf, functions } = report.data;
  const folded = functions.length;
  const start = new Int32Array(report.stacks + 1);
  const names: number[] = [];
  const places: number[] = [];
  const run: number[] = [];
  for (let stack = 0; stack < report.stacks; stack++) {
    start[stack] = names.length;
    run.length = 0;
    let own = 0;
    for (let node = leaf[stack]!; node > 0; node = nodeParent[node - 1]!) {
      const place = nodePlace[node - 1]!;
      run.push(place);
      if (((placeKind[place]! >> 1) & 3) === 0) own++;
    }
    const foldThis = fold && own > 0;
    let [seen, hidden] = [0, -1];
    for (let i = run.length - 1; i >= 0; i--) {
      const place = run[i]!;
      if (foldThis && ((placeKind[place]! >> 1) & 3) !== 0) {
        hidden = place;
        continue;
      }
      if (hidden >= 0 && seen > 0) {
        names.push(folded);
        places.push(hidden);
      }
      hidden = -1;
      seen++;
      names.push(placeFunction[place]!);
      places.push(place);
    }
  }
  start[report.stacks] = names.length;
  return { start, names: Int32Array.from(names), places: Int32Array.from(places), folded };
}

export interface Call {
  /** Function, `paths.folded`, or -1 for the root. */
  name: number;
  /** One of its places, -1 for the root. */
  place: number;
  parent: Call | undefined;
  /** Sum of the weights. */
  value: number;
  /** Sum of the weights without their signs: what its width shows. */
  size: number;
  /** Stacks that run through it, and the position of this call in each. */
  stacks: Int32Array;
  at: Int32Array;
}

export class Calls {
  constructor(private readonly paths: Paths, private readonly weights: Float64Array) {}

  /** All stacks that weigh something, before their first call in the given direction. */
  root(inward: boolean, keep: (stack: number) => boolean): Call {
    const { start } = this.paths;
    const stacks = Int32Array.from(this.weights.keys()).filter((stack) => this.weights[stack] !== 0 && keep(stack));
    return this.sum(-1, -1, undefined, stacks, stacks.map((stack) => (inward ? start[stack]! - 1 : start[stack + 1]!)));
  }

  /** The outermost call of one function in every stack that has it. */
  around(name: number, keep: (stack: number) => boolean): Call {
    const { start, names, places } = this.paths;
    const stacks: number[] = [];
    const at: number[] = [];
    for (let stack = 0; stack < this.weights.length; stack++) {
      if (this.weights[stack] === 0 || !keep(stack)) continue;
      const found = names.subarray(start[stack], start[stack + 1]).indexOf(name);
      if (found < 0) continue;
      stacks.push(stack);
      at.push(start[stack]! + found);
    }
    return this.sum(name, at.length ? places[at[0]!]! : -1, undefined, Int32Array.from(stacks), Int32Array.from(at));
  }

  /** The calls one step further, largest first, none smaller than `least`. */
  children(call: Call, step: 1 | -1, least: number): Call[] {
    const { start, names, places } = this.paths;
    const groups = new Map<number, { size: number; count: number }>();
    for (let i = 0; i < call.stacks.length; i++) {
      const stack = call.stacks[i]!;
      const next = call.at[i]! + step;
      if (next < start[stack]! || next >= start[stack + 1]!) continue;
      const group = groups.get(names[next]!);
      const size = Math.abs(this.weights[stack]!);
      if (group) {
        group.size += size;
        group.count++;
      } else groups.set(names[next]!, { size, count: 1 });
    }
    // What is too small to be seen is never made.
    const members = new Map<number, { stacks: Int32Array; at: Int32Array; filled: number }>();
    for (const [name, { size, count }] of groups) if (size >= least) members.set(name, { stacks: new Int32Array(count), at: new Int32Array(count), filled: 0 });
    if (!members.size) return [];
    for (let i = 0; i < call.stacks.length; i++) {
      const stack = call.stacks[i]!;
      const next = call.at[i]! + step;
      if (next < start[stack]! || next >= start[stack + 1]!) continue;
      const member = members.get(names[next]!);
      if (!member) continue;
      member.stacks[member.filled] = stack;
      member.at[member.filled++] = next;
    }
    return [...members].map(([name, { stacks, at }]) => this.sum(name, places[at[0]!]!, call, stacks, at)).sort((a, b) => b.size - a.size || a.name - b.name);
  }

  private sum(name: number, place: number, parent: Call | undefined, stacks: Int32Array, at: Int32Array): Call {
    let [value, size] = [0, 0];
    for (const stack of stacks) {
      value += this.weights[stack]!;
      size += Math.abs(this.weights[stack]!);
    }
    return { name, place, parent, value, size, stacks, at };
  }
}
