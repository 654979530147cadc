// Colours for canvases, which know no style sheet.

const known = new Map<string, readonly number[]>();
let probe: CanvasRenderingContext2D | null | undefined;

/** Red, green and blue of a colour of the style sheet, which a build may have written shorter (`#fff`, `tan`). */
function channels(color: string): readonly number[] {
  const found = known.get(color);
  if (found) return found;
  probe ??= document.createElement("canvas").getContext("2d");
  if (!probe) return [128, 128, 128];
  probe.fillStyle = color;
  const full = String(probe.fillStyle); // the browser gives it back as #rrggbb
  const parsed = [1, 3, 5].map((at) => parseInt(full.slice(at, at + 2), 16));
  known.set(color, parsed);
  return parsed;
}

/** `share` of `b` mixed into `a`. */
export function mix(a: string, b: string, share: number): string {
  const [from, to] = [channels(a), channels(b)];
  return `#${from.map((value, i) => Math.round(value * (1 - share) + to[i]! * share).toString(16).padStart(2, "0")).join("")}`;
}
