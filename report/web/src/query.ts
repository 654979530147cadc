// The search line: words are looked for in functions, files and modules; `-word` leaves out; `/…/` is a regular
// expression; `file:`, `module:`, `fn:` and `class:` narrow down. All words must match somewhere in a stack.

import type { Report } from "./report";

type Field = "any" | "fn" | "file" | "module" | "class";
const FIELDS: Record<string, Field> = { fn: "fn", function: "fn", file: "file", module: "module", class: "class" };

export interface Term {
  field: Field;
  without: boolean;
  matches: (text: string) => boolean;
}
export interface Query {
  terms: Term[];
  /** What could not be understood, for the person typing. */
  problem: string | undefined;
}

export function parse(text: string): Query {
  const terms: Term[] = [];
  let problem: string | undefined;
  // A word may be quoted or a regular expression, and either may hold spaces.
  for (const [, minus, name, regex, quoted, word] of text.matchAll(/(-?)(?:(fn|function|file|module|class):)?(?:\/((?:[^/\\]|\\.)+)\/|"([^"]*)"|(\S+))/gi)) {
    const field = FIELDS[name?.toLowerCase() ?? ""] ?? "any";
    const without = minus === "-";
    if (regex !== undefined) {
      try {
        const expression = new RegExp(regex, "i");
        terms.push({ field, without, matches: (candidate) => expression.test(candidate) });
      } catch (error) {
        problem = error instanceof Error ? error.message : String(error);
      }
      continue;
    }
    const want = (quoted ?? word ?? "").toLowerCase();
    if (want === "" || want === "-") continue;
    terms.push({ field, without, matches: (candidate) => candidate.toLowerCase().includes(want) });
  }
  return { terms, problem };
}

export interface Matches {
  /** 1 for each stack that all terms allow. */
  stacks: Uint8Array;
  /** 1 for each place that a wanted term names, to mark it; absent when nothing is asked for. */
  places: Uint8Array | undefined;
}

/** Which stacks and which places `query` asks for. */
export function match(report: Report, { terms }: Query): Matches {
  const { data } = report;
  const stacks = new Uint8Array(report.stacks).fill(1);
  const wanted = terms.some((term) => !term.without && term.field !== "class");
  const marked = wanted ? new Uint8Array(data.placeFunction.length) : undefined;
  for (const term of terms) {
    if (term.field === "class") {
      const classes = data.classes.map((name) => term.matches(name));
      for (let stack = 0; stack < stacks.length; stack++) {
        if ((classes[data.class[stack]! - 1] ?? false) === term.without) stacks[stack] = 0;
      }
      continue;
    }
    const places = matchPlaces(report, term);
    if (!term.without && marked) for (let place = 0; place < marked.length; place++) marked[place]! |= places[place]!;
    // Parents come first, so one pass hands a match down to every stack below it.
    const nodes = new Uint8Array(data.nodeParent.length + 1);
    for (let node = 1; node < nodes.length; node++) {
      nodes[node] = nodes[data.nodeParent[node - 1]!]! | places[data.nodePlace[node - 1]!]!;
    }
    for (let stack = 0; stack < stacks.length; stack++) {
      if ((nodes[data.leaf[stack]!] === 1) === term.without) stacks[stack] = 0;
    }
  }
  return { stacks, places: marked };
}

function matchPlaces(report: Report, { field, matches }: Term): Uint8Array {
  const { data } = report;
  const table = (names: string[], asked: boolean) => Uint8Array.from(names, (name) => (asked && matches(name) ? 1 : 0));
  const functions = table(data.functions, field === "any" || field === "fn");
  const files = table(data.files, field === "any" || field === "file");
  const modules = table(data.modules, field === "any" || field === "module");
  const places = new Uint8Array(data.placeFunction.length);
  for (let place = 0; place < places.length; place++) {
    places[place] =
      functions[data.placeFunction[place]!]! |
      (files[data.placeFile[place]! - 1] ?? 0) |
      (modules[data.placeModule[place]! - 1] ?? 0);
  }
  return places;
}
