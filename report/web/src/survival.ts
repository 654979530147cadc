// The survival curve: of what was allocated together, how much is still live after so long. A leak's line stays up, a
// cache's falls at its time to live.

import { el, svg } from "./dom";
import type { CohortLine, Report } from "./report";
import { bytes, elapsed, percent, rough } from "./units";

const WIDTH = 420;
const HEIGHT = 120;

/** Share still live by age, all cohorts together, each weighing what it allocated. */
export function pooled(cohorts: CohortLine[]): [number, number][] {
  const ages = [...new Set(cohorts.flatMap((cohort) => cohort.points.map(([age]) => Math.round(age * 10) / 10)))].sort((a, b) => a - b);
  const out: [number, number][] = [];
  for (const age of ages) {
    let [live, allocated] = [0, 0];
    for (const cohort of cohorts) {
      // A cohort counts at an age it has reached, with what it had at its last snapshot by then.
      if (cohort.points.at(-1)![0] < age - 0.05) continue;
      const point = cohort.points.findLast(([at]) => at <= age + 0.05);
      if (!point) continue;
      live += point[1] * cohort.allocated;
      allocated += cohort.allocated;
    }
    if (allocated) out.push([age, live / allocated]);
  }
  return out;
}

export function survivalChart(report: Report, stack: number): HTMLElement {
  const cohorts = report.cohorts(stack);
  if (!cohorts.length) {
    const { source, settings } = report.data;
    const why = source !== "leakhound" ? "A memleak log does not tell when a block was allocated."
      : !settings.cohortNs || stack >= report.data.stacksWithCohorts ? `Cohorts are in the page for the first ${report.data.stacksWithCohorts} stacks.`
      : "No cohort of this stack was complete before the end.";
    return el("figure", {}, el("figcaption", {}, "Survival"), el("p", { class: "note" }, why));
  }
  const mean = pooled(cohorts);
  const longest = Math.max(...mean.map(([age]) => age), 1);
  const path = (points: [number, number][]) => `M${points.map(([age, share]) => `${((age / longest) * WIDTH).toFixed(1)} ${((1 - share) * (HEIGHT - 4) + 2).toFixed(1)}`).join("L")}`;
  const end = mean.at(-1)!;
  const label = `Of the bytes allocated together, ${percent(end[1])} are still live after ${rough(end[0])}.`;
  return el("figure", { class: "survival" },
    el("figcaption", {}, "Survival of cohorts", el("span", {}, `${percent(end[1])} live after ${rough(end[0])}`)),
    el("div", { class: "plot" },
      svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
        svg("path", { class: "grid", d: `M0 2H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT - 2}H${WIDTH}` }),
        ...cohorts.map((cohort) => svg("path", { class: "cohort", d: path(cohort.points) }, svg("title", {}, `${bytes(cohort.allocated)} allocated before ${elapsed(cohort.end)}`))),
        svg("path", { class: "mean", d: path(mean) })),
      el("span", { class: "tick top" }, percent(1)), el("span", { class: "tick bottom" }, "0\u00a0%")),
    el("div", { class: "scale" }, el("span", {}, "age 0"), el("span", {}, rough(longest))));
}
