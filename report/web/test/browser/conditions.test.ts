// The page under conditions: hostile names, little data, much data, paper, darkness, a phone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { BrowserContextOptions, Page } from "playwright-core";
import { launch, open, sample, until } from "./browser.ts";

async function on(name: string, options: BrowserContextOptions, use: (page: Page) => Promise<void>) {
  const session = await launch(options);
  try {
    await use(await open(session, name));
    assert.deepEqual(session.requests, [], "nothing is asked of the network");
    assert.deepEqual(session.complaints, [], "nothing is said on the console");
  } finally {
    await session.close();
  }
}
const overflow = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
const SAMPLES = ["small", "hostile", "memleak", "kernel", "growth", "sampled", "off-heap", "one-snapshot", "empty", "no-snapshots"];

test("hostile names are inert and legible, in every section and open row", () => on("hostile", {}, async (page) => {
  const markup = await page.evaluate(() => [...document.querySelectorAll("script, img, svg[onload], [onerror], [onload], [onclick], i[onclick]")].length);
  assert.equal(markup, 1, "only the page's own script");
  await page.click('[data-weight="live"]');
  for (let i = 0; i < 16; i++) {
    await page.keyboard.press("t");
    await page.keyboard.press("Home");
    for (let down = 0; down < i; down++) await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowLeft");
  }
  await page.keyboard.press("f");
  for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "Enter", "s", "Escape"]) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => (window as { pwned?: number }).pwned), undefined);
  await page.fill("#search", "__proto__");
  await until(page, `document.getElementById("found").textContent.startsWith("1 of")`);
  await page.fill("#search", "fn:gnp");
  await until(page, `document.querySelector("#grid .title").textContent === "\\\\u202egnp.elif\\\\u202c"`);
  const text = await page.evaluate(() => document.body.innerText);
  assert.ok(!/[\u202a-\u202e\u2066-\u2069\u0000\u2028\ufeff]/.test(text), "nothing that hides or reorders reaches the page");
  assert.equal(await overflow(page), 0);
}));

test("until its data are unpacked the page says that it is opening, and shows no empty section", async () => {
  const session = await launch();
  try {
    const page = await session.context.newPage();
    await page.addInitScript(() => { Response.prototype.arrayBuffer = () => new Promise(() => {}); });
    await page.goto(sample("small"));
    await until(page, `document.getElementById("main").hidden`);
    assert.equal(await page.evaluate(() => [...document.querySelectorAll<HTMLElement>("h1, h2, #opening")].filter((shown) => shown.offsetHeight > 0).map((shown) => shown.innerText).join()), "Opening the report …");
  } finally {
    await session.close();
  }
});

test("the policy lets nothing else run or be asked for", async () => {
  const session = await launch();
  try {
    const page = await open(session, "small");
    const refused = await page.evaluate(async () => {
      const out: string[] = [];
      try { document.body.innerHTML = "<b>x</b>"; } catch { out.push("markup"); }
      try { document.createElement("script").textContent = "window.pwned = 1"; } catch { out.push("script"); }
      try { setTimeout("window.pwned = 1" as never, 0); } catch { out.push("timer"); }
      await fetch("http://127.0.0.1:9/").catch(() => out.push("fetch"));
      const image = new Image();
      await new Promise((resolve) => { image.onerror = () => resolve(out.push("image")); image.src = "http://127.0.0.1:9/x.png"; });
      return out;
    });
    assert.deepEqual(refused, ["markup", "script", "timer", "fetch", "image"]);
    assert.equal(await page.evaluate(() => (window as { pwned?: number }).pwned), undefined);
    assert.ok(session.complaints.every((text) => /Content Security Policy|Trusted|violates/.test(text)), session.complaints.join("\n"));
  } finally {
    await session.close();
  }
});

for (const name of SAMPLES) {
  test(`${name}: 390 px wide, nothing overflows`, () => on(name, { viewport: { width: 390, height: 844 }, hasTouch: true }, async (page) => {
    assert.equal(await overflow(page), 0);
    const row = page.locator("#grid .row .cells").first();
    if (await row.count()) {
      await row.click();
      assert.equal(await overflow(page), 0, "with an open row");
      assert.ok((await row.boundingBox())!.height >= 44, "a row is large enough for a finger");
    }
    await page.locator("#flame").scrollIntoViewIfNeeded();
    await page.waitForSelector("#flame .lead", { timeout: 5_000 });
    assert.equal(await overflow(page), 0, "with the flame graph");
  }));
}

for (const [name, texts] of [
  ["memleak", [/RSS is not in this recording/, /log of libbpf-tools’ memleak/, /third_leak/]],
  ["kernel", [/do_anonymous_page/, /the kernel, working for postgres \(pid 4711\)/, /Page cache, inodes and the pages of programs are left out/]],
  ["sampled", [/Heap mode, sampled every 512 KiB/, /± [\d.]+ MiB; [\d,]+ blocks/, /sums are estimates with an error \(±\)/, /CPUs it kept busy\s+0\.81 before, 0\.84 during, 0\.80 after/, /Cost lowered/]],
  ["growth", [/Growth, unexplained/, /Touched in/, /pages in 3 stacks/, /a cache, or memory that an allocator or garbage collector keeps, it cannot tell/, /--mode heap --duration 5m/]],
  ["one-snapshot", [/Inconclusive/, /too few/, /One snapshot, at 0:10/, /cut off/]],
  ["empty", [/Nothing was live at any snapshot/, /The recording has no stack/, /Nothing (grew or shrank|to weigh)/]],
  ["no-snapshots", [/The recording has no snapshot/, /0 snapshots are too few/]],
  ["off-heap", [/Growth outside the heap/, /No stack grew in every one of the 60 snapshots/]],
] as const) {
  test(`${name}: what is missing is said`, () => on(name, {}, async (page) => {
    await page.locator("#flame").scrollIntoViewIfNeeded();
    await page.waitForSelector("#flame .lead");
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    const text = await page.evaluate(() => document.body.innerText);
    for (const part of texts) assert.match(text, part);
    assert.doesNotMatch(text, /NaN|undefined|null|Infinity|\[object/);
  }));
}

test("what a sample estimates stands with its error, in the row, the chart and the export", () => on("sampled", {}, async (page) => {
  const row = page.locator("#grid .row .cells").first();
  assert.match(await row.locator(".live").innerText(), /^[\d.]+ MiB\s+± [\d.]+ MiB$/);
  await row.click();
  assert.equal(await page.locator("#grid .detail .spark .error").count(), 1);
  assert.match(await page.locator("#grid .numbers").innerText(), /Live\s+[\d.]+ MiB ± [\d.]+ MiB in/);
}));

test("the peak of a kernel recording names do_anonymous_page first", () => on("kernel", {}, async (page) => {
  assert.match(await page.locator("#peak-body li").first().innerText(), /do_anonymous_page/);
}));

test("dark is dark, also on the canvases", () => on("small", { colorScheme: "dark" }, async (page) => {
  const light = (color: string) => color.match(/\d+/g)!.slice(0, 3).reduce((sum, channel) => sum + Number(channel), 0) / 3;
  assert.ok(light(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)) < 40);
  assert.ok(light(await page.evaluate(() => getComputedStyle(document.body).color)) > 200);
  await page.keyboard.press("f");
  const mean = await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>("#flame-graph canvas")!;
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    let seen = 0;
    for (let i = 0; i < data.length; i += 4) if (data[i + 3]) { sum += data[i]! + data[i + 1]! + data[i + 2]!; seen += 3; }
    return sum / seen;
  });
  assert.ok(mean < 150, `mean of the flame graph is ${mean}`);
}));

test("nothing moves for who asked for that", () => on("small", { reducedMotion: "reduce" }, async (page) => {
  assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior), "auto");
  assert.equal(await page.evaluate(() => document.getAnimations().length), 0);
}));

test("paper is complete: every section, every row, stacks in full", () => on("small", {}, async (page) => {
  const directory = mkdtempSync(join(tmpdir(), "leakhound-print-"));
  try {
    const path = join(directory, "report.pdf");
    await page.pdf({ path, format: "A4" });
    let text: string;
    try {
      text = execFileSync("pdftotext", ["-layout", path, "-"], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      if (process.env.CI || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      console.error("skipped: pdftotext is not installed (package poppler-utils), so the printed text was not read");
      return;
    }
    for (const part of ["Leak likely", "Grew in every snapshot", "Unfreed memory over time", "Breakdown at the peak", "Stacks", "The first stacks in full", "Flame graph", "What this cannot tell you", "Ledger", "events during the run"]) assert.ok(text.includes(part), part);
    for (const name of ["session_create", "price_cache_put", "CartStore::add", "daily_report", "rating_lookup", "worker_main", "/src/checkout/session.c:88"]) assert.ok(text.includes(name), name);
    assert.equal(await page.evaluate(() => "print" in document.documentElement.dataset), false, "afterwards the screen is as it was");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}));

test("10,000 stacks x 60 snapshots: only what is seen is made, and everything can be reached", () => on("large", {}, async (page) => {
  const size = statSync(fileURLToPath(sample("large"))).size;
  assert.ok(size <= 3 << 20, `the file has ${size} bytes`);
  assert.equal(await page.locator("#flame-graph canvas").count(), 0, "the flame graph waits until it is near");
  const nodes = await page.evaluate(() => document.querySelectorAll("*").length);
  assert.ok(nodes < 12_000, `${nodes} elements are in the document`);
  assert.match(await page.locator("#found").innerText(), /^10,000 of 10,000 stacks/);
  await page.click('[data-sort="allocated"] button');
  await page.fill("#search", "file:arena_1 class:leak");
  await until(page, `!document.getElementById("found").textContent.startsWith("10,000 of")`);
  await page.keyboard.press("Enter");
  await page.keyboard.press("End");
  assert.ok((await page.locator("#grid .row").count()) < 60, "only the rows in sight are in the document");
  await page.keyboard.press("f");
  await page.waitForSelector("#flame-graph canvas", { timeout: 5_000 });
  for (let i = 0; i < 12; i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await until(page, `location.hash.includes("zoom=")`);
}));
