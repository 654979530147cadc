// The same numbers under their names in each mode: blocks of an allocator, pages of a program, memory of the kernel.

import type { Facts } from "./decode";
import { count } from "./units";

interface Words {
  /** What is counted. */
  block: string;
  /** Over the names of functions. */
  place: string;
  /** Over what is there at the end. */
  live: string;
}

const WORDS: Record<Facts["mode"], Words> = {
  Heap: { block: "block", place: "Allocated in", live: "Live at the end" },
  Growth: { block: "page", place: "Touched in", live: "Taken and not given back" },
  Kernel: { block: "block", place: "Allocated in", live: "Live at the end" },
};

export const words = (mode: Facts["mode"]): Words => WORDS[mode];

/** `1,200 blocks`, `1 page`. */
export const counted = (mode: Facts["mode"], of: number) => `${count(of)} ${WORDS[mode].block}${of === 1 ? "" : "s"}`;
