// Laying out and painting the flame graph. d3's partition gives the places; only frames half a pixel wide or more exist.

import { hierarchy, partition } from "d3-hierarchy";
import type { Call } from "./calls";
import { css } from "./dom";
import { mix } from "./paint";
import type { Origin } from "./report";

export const ROW = 20;
/** Rows painted at most: a runaway recursion must not make a canvas that no browser can hold. */
const MOST_ROWS = 400;
/** Height of a frame where screens are touched is the same: zooming widens it instead. */
const FONT = 11;

export interface Box {
  call: Call;
  x: number;
  width: number;
  row: number;
  /** Above the zoomed frame: the way back. */
  faint: boolean;
  /** In the callers' half of a sandwich, which grows upwards. */
  upward: boolean;
}
export interface Picture {
  boxes: Box[];
  width: number;
  rows: number;
  /** Rows there would have been beyond the most that are painted. */
  cut: boolean;
}

/** Places `focus` and what `down` gives below it; above it what `up` gives, or else the way to it. */
export function layout(focus: Call, width: number, down: (call: Call) => Call[], up?: (call: Call) => Call[]): Picture {
  const boxes: Box[] = [];
  const above: Call[] = [];
  for (let step = focus.parent; step; step = step.parent) above.unshift(step);
  const callers = up ? place(focus, width, up) : [];
  const tallest = Math.min(MOST_ROWS / 2, callers.reduce((most, box) => Math.max(most, box.row), 0));
  const top = up ? tallest : above.length;
  above.forEach((call, row) => boxes.push({ call, x: 0, width, row, faint: true, upward: false }));
  for (const box of callers) if (box.row > 0 && box.row <= tallest) boxes.push({ ...box, row: tallest - box.row, upward: true });
  let cut = false;
  for (const box of place(focus, width, down)) {
    const row = top + box.row;
    if (row < MOST_ROWS) boxes.push({ ...box, row });
    else cut = true;
  }
  return { boxes, width, rows: boxes.reduce((most, box) => Math.max(most, box.row), 0) + 1, cut };
}

function place(root: Call, width: number, children: (call: Call) => Call[]): Box[] {
  let depth = 0;
  const tree = hierarchy(root, (call) => (depth++ > 100_000 ? [] : children(call)));
  tree.each((node) => ((node as { value?: number }).value = node.data.size));
  const out: Box[] = [];
  partition<Call>().size([width, 1])(tree).each((node) => out.push({ call: node.data, x: node.x0, width: node.x1 - node.x0, row: node.depth, faint: false, upward: false }));
  return out;
}

export interface Paint {
  chosen: Call | undefined;
  label: (call: Call) => string;
  /** Absent when nothing is searched for. */
  hit: ((call: Call) => boolean) | undefined;
  growth: boolean;
  origin: (call: Call) => Origin;
  module: (call: Call) => number;
}

export function draw(canvas: HTMLCanvasElement, picture: Picture, { chosen, label, hit, growth, origin, module }: Paint) {
  const ratio = Math.max(1, Math.min(3, devicePixelRatio || 1));
  const height = picture.rows * ROW;
  canvas.width = Math.round(picture.width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.inlineSize = `${picture.width}px`;
  canvas.style.blockSize = `${height}px`;
  const paint = canvas.getContext("2d");
  if (!paint) return;
  paint.scale(ratio, ratio);
  paint.font = `${FONT}px ${css("--mono")}`;
  paint.textBaseline = "middle";
  const letter = paint.measureText("0").width;
  const [paper, ink, soft, grew, shrank, rest, hitColor] = ["--paper", "--flame-ink", "--soft", "--Suspected", "--Step", "--rest", "--hit"].map(css) as [string, string, string, string, string, string, string];
  const palette = ["--flame-0", "--flame-1", "--flame-2", "--flame-3"].map(css);
  const color = (call: Call): string => {
    if (hit?.(call)) return hitColor;
    if (call.name < 0) return mix(rest, paper, 0.3);
    if (growth) {
      const lean = call.size ? call.value / call.size : 0;
      return mix(rest, lean >= 0 ? grew : shrank, 0.2 + 0.6 * Math.abs(lean));
    }
    return origin(call) === "application" ? palette[module(call) % palette.length]! : mix(rest, paper, 0.2);
  };
  for (const box of picture.boxes) {
    const y = box.row * ROW;
    const width = Math.max(0.5, box.width - (box.width > 3 ? 1 : 0.3));
    const dim = box.faint || (hit && !hit(box.call));
    // Neighbours of one colour are told apart by a little lightness, by name and not by chance.
    const base = color(box.call);
    const shade = (Math.imul(box.call.name + 7, 2654435761) >>> 28) / 60;
    paint.fillStyle = mix(base, paper, Math.min(0.75, shade + (dim ? 0.45 : 0)));
    paint.fillRect(box.x, y, width, ROW - 1);
    if (box.call === chosen) {
      paint.strokeStyle = css("--accent");
      paint.lineWidth = 2;
      paint.strokeRect(box.x + 1, y + 1, Math.max(1, width - 2), ROW - 3);
    }
    const letters = Math.floor((box.width - 8) / letter);
    if (letters < 3) continue;
    const text = label(box.call);
    paint.fillStyle = dim && !box.faint ? soft : ink;
    paint.fillText(text.length > letters ? `${text.slice(0, letters - 1)}…` : text, box.x + 4, y + ROW / 2);
  }
}

/** The box under the pointer. */
export function pick(picture: Picture, canvas: HTMLCanvasElement, event: MouseEvent): Box | undefined {
  const area = canvas.getBoundingClientRect();
  const x = ((event.clientX - area.left) * picture.width) / area.width;
  const row = Math.floor((event.clientY - area.top) / ROW);
  return picture.boxes.find((box) => box.row === row && box.x <= x && x < box.x + box.width);
}
