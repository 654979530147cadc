// Pictures of every section for a person to look at: npm run shots -- DIR [REPORT.html or NAME of a sample]...
// Light, dark, 390 px wide, and the printed pages.

import { mkdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { BrowserContextOptions, Page } from "playwright-core";
import { launch, sample } from "../browser/browser.ts";

const [into = "shots", ...named] = process.argv.slice(2);
const reports = named.length ? named : ["small", "memleak", "kernel", "hostile"];
const CONDITIONS: Record<string, BrowserContextOptions> = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, hasTouch: true },
};
const SECTIONS = ["verdict", "alerts", "timeline", "peak", "stacks", "flame", "limits"];

async function show(page: Page, url: string) {
  await page.goto(url);
  await page.waitForSelector("html[data-ready]");
  const first = page.locator("#grid .row .cells").first();
  if (await first.count()) await first.click();
  await page.locator("#flame").scrollIntoViewIfNeeded();
  await page.waitForSelector("#flame .lead");
}

mkdirSync(into, { recursive: true });
for (const [condition, options] of Object.entries(CONDITIONS)) {
  const session = await launch(options);
  for (const report of reports) {
    const page = await session.context.newPage();
    await show(page, report.endsWith(".html") ? pathToFileURL(resolve(report)).href : sample(report));
    const name = basename(report, ".html");
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: join(into, `${name}-${condition}-0-first.png`) });
    for (const [at, section] of SECTIONS.entries()) {
      await page.locator(`#${section}`).screenshot({ path: join(into, `${name}-${condition}-${at + 1}-${section}.png`) });
    }
    if (condition === "light") await page.pdf({ path: join(into, `${name}.pdf`), format: "A4", margin: { top: "12mm", bottom: "12mm", left: "12mm", right: "12mm" } });
    await page.close();
  }
  for (const complaint of session.complaints) console.error(complaint);
  await session.close();
}
console.log(`${into}: ${reports.length * Object.keys(CONDITIONS).length * (SECTIONS.length + 1)} pictures`);
