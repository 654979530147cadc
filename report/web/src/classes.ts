// The classes of a stack. Each is a shape before it is a colour: the glyph draws how live bytes behaved.

import type { ClassName, VerdictName } from "./decode";
import { el, svg } from "./dom";

interface ClassFacts {
  what: string;
  /** On a field of 16 by 12. */
  shape: string;
}

export const CLASSES: Record<ClassName, ClassFacts> = {
  Leak: { what: "grows steadily and its blocks stay", shape: "M1 11 15 1M15 6V1H10" },
  Suspected: { what: "grew in every snapshot, or nearly, with weaker evidence", shape: "M1 11 4.5 8.5M7 6.7 10.5 4.2M13 2.4 15 1" },
  Saturating: { what: "grows ever more slowly: a cache filling up", shape: "M1 11C3 4 7 2.5 15 2" },
  Plateau: { what: "reached its level early: start-up or working set", shape: "M1 11 4 3H15" },
  Sawtooth: { what: "grows and is purged, again and again", shape: "M1 10 5.5 2V10L10 2V10L14.5 2V10" },
  Step: { what: "grew once or a few times in jumps", shape: "M1 10H6V6H11V2H15" },
  Transient: { what: "came and went", shape: "M1 11H3.5C6 11 6 2 8 2S10 11 12.5 11H15" },
  Inconclusive: { what: "too few or too noisy numbers", shape: "M1 6 3 4 5 8 7 3 9 9 11 5 13 7 15 6" },
};

export const VERDICTS: Record<VerdictName, { label: string; tone: ClassName }> = {
  LeakLikely: { label: "Leak likely", tone: "Leak" },
  GrowthUnexplained: { label: "Growth, unexplained", tone: "Suspected" },
  AllocatorRetention: { label: "The allocator keeps freed memory", tone: "Saturating" },
  OffHeapGrowth: { label: "Growth outside the heap", tone: "Suspected" },
  NoLeakObserved: { label: "No leak observed", tone: "Plateau" },
  Inconclusive: { label: "Inconclusive", tone: "Inconclusive" },
};

/** Classes whose live bytes have come to rest: what slope they still have is noise. */
export const settled = (name: ClassName | undefined) => name === "Plateau" || name === "Sawtooth" || name === "Transient";

/** The glyph of a class, for beside its name. */
export function glyph(name: ClassName | undefined): SVGElement {
  return svg("svg", { class: `glyph ${name ?? "None"}`, viewBox: "0 0 16 12", "aria-hidden": "true" }, name && svg("path", { d: CLASSES[name].shape }));
}

/** Glyph and name. */
export function badge(name: ClassName | undefined): HTMLElement {
  if (!name) return el("span", { class: "badge", title: "not judged" }, glyph(undefined), "–");
  return el("span", { class: "badge", title: `${name}: ${CLASSES[name].what}` }, glyph(name), name);
}

/** Live bytes over time in the space of a word; `label` says in words what it shows, `least` is what it has room for at least. */
export function sparkline(values: Float64Array, name: ClassName | undefined, label: string, width = 80, height = 22, least = 1): SVGElement {
  // More points than pixels draw nothing more.
  const stride = Math.max(1, Math.floor(values.length / width));
  let most = least;
  for (const value of values) if (value > most) most = value;
  const points: string[] = [];
  const add = (i: number) => {
    const x = values.length > 1 ? (i / (values.length - 1)) * (width - 2) + 1 : width / 2;
    points.push(`${x.toFixed(1)} ${(height - 1.5 - (values[i]! / most) * (height - 3)).toFixed(1)}`);
  };
  for (let i = 0; i < values.length; i += stride) add(i);
  if (values.length && (values.length - 1) % stride) add(values.length - 1);
  const line = `M${points.join("L")}`;
  return svg(
    "svg", { class: `spark ${name ?? "None"}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    values.length > 1 && svg("path", { class: "under", d: `${line}L${width - 1} ${height - 1.5}L1 ${height - 1.5}Z` }),
    values.length > 1 ? svg("path", { class: "line", d: line }) : values.length === 1 && svg("circle", { cx: width / 2, cy: height / 2, r: 2 }),
  );
}
