// Which stacks the search line and the chips leave: the table lists them, the flame graph marks or keeps them.

import { match, parse, type Matches } from "./query";
import type { Report } from "./report";
import type { State } from "./view";

export interface Filtered extends Matches {
  count: number;
  problem: string | undefined;
  /** Nothing is filtered. */
  all: boolean;
}

export function filter(report: Report, state: State): Filtered {
  const query = parse(state.query);
  const { stacks, places } = match(report, query);
  const classes = new Set<string | undefined>(state.classes);
  let count = 0;
  for (let stack = 0; stack < stacks.length; stack++) {
    if (!stacks[stack]) continue;
    const kept =
      (!state.alertsOnly || report.alerted[stack]) &&
      (!classes.size || classes.has(report.class(stack))) &&
      (!state.module || report.titlePlace(stack)?.module === state.module);
    if (kept) count++;
    else stacks[stack] = 0;
  }
  return { stacks, places, count, problem: query.problem, all: count === stacks.length };
}
