// How long until a report can be used, and what its heaviest actions cost: npm run bench [-- NAME]. Medians of seven.

import { launch, sample } from "../browser/browser.ts";

const name = process.argv[2] ?? "large";
const median = (values: number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;
const session = await launch();
const times = new Map<string, number[]>();
const note = (what: string, ms: number) => times.set(what, [...(times.get(what) ?? []), ms]);
for (let run = 0; run < 7; run++) {
  // The processor time of the page's thread does not grow with what else the machine does.
  const page = await session.context.newPage();
  const devtools = await session.context.newCDPSession(page);
  await devtools.send("Performance.enable", { timeDomain: "threadTicks" });
  await page.goto(sample(name));
  await page.waitForSelector("html[data-ready]");
  const { metrics } = await devtools.send("Performance.getMetrics");
  note("interactive, processor time alone", 1000 * metrics.find((metric) => metric.name === "TaskDuration")!.value);
  const marks = await page.evaluate(() => Object.fromEntries(performance.getEntriesByType("mark").map((mark) => [mark.name, mark.startTime])));
  note("script starts, after navigation", marks["leakhound:start"]!);
  note("data decoded", marks["leakhound:decoded"]!);
  note("interactive", marks["leakhound:ready"]!);
  const cost = (action: string) => page.evaluate((selector) => {
    const start = performance.now();
    document.querySelector<HTMLElement>(selector)!.click();
    document.body.getBoundingClientRect();
    return performance.now() - start;
  }, action);
  note("sort by live bytes", await cost('[data-sort="live"] button'));
  note("sort by name", await cost('[data-sort="name"] button'));
  note("another weight", await cost('[data-weight="allocated"]'));
  await page.keyboard.press("f");
  await page.waitForSelector("#flame-graph canvas");
  note("flame graph, other direction", await cost('[data-shape="inverted"]'));
  note("flame graph, with runtime frames", await cost("#flame .tools input"));
  await page.close();
}
for (const [what, values] of times) console.log(`${Math.round(median(values)).toString().padStart(6)} ms  ${what}`);
await session.close();
