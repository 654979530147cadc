// The page in a real Chromium, on reports that the real Rust rendered: what a person does with mouse and keyboard.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { Page } from "playwright-core";
import { launch, open, sample, until, type Session } from "./browser.ts";

let session: Session;
before(async () => { session = await launch(); });
after(async () => {
  await session.close();
  assert.deepEqual(session.requests, [], "nothing is asked of the network");
  assert.deepEqual(session.complaints, [], "nothing is said on the console");
});

async function on(name: string, use: (page: Page) => Promise<void>, hash = "") {
  const page = await open(session, name, hash);
  try {
    await use(page);
  } finally {
    await page.close();
  }
}
const rows = (page: Page) => page.locator("#grid .row:visible .cells .title").allInnerTexts();
/** Rows are placed by transform: the order on the screen, not in the document. */
const listed = (page: Page) => page.evaluate(() => [...document.querySelectorAll<HTMLElement>("#grid .row")].sort((a, b) => Number(a.dataset.index) - Number(b.dataset.index)).map((row) => ({ name: row.querySelector(".title")!.textContent!, live: row.querySelector(".live")!.textContent!, allocated: row.querySelector(".allocated")!.textContent! })));
const bytesOf = (text: string) => parseFloat(text) * 1024 ** ["B", "KiB", "MiB", "GiB"].indexOf(text.split(" ")[1]!);

test("a program that really ran: from the verdict to the line, sorted, searched, zoomed and taken away", () => on("recorded", async (page) => {
  assert.match(await page.locator("#sentence").innerText(), /backlog \(pid \d+\) seems to leak [\d.]+ MiB\/h in \d stacks\. Top stack: backlog::submit_job ← backlog::main \(backlog\.rs:\d+\)/);
  await page.locator("#alerts-body .link").first().click();
  assert.match(await page.locator("#grid .detail").innerText(), /backlog::submit_job[\s\S]*backlog\.rs:\d+[\s\S]*oldest live block/);
  await page.click('[data-sort="live"] button');
  const live = (await listed(page)).map((row) => bytesOf(row.live));
  assert.deepEqual(live, [...live].sort((a, b) => b - a));
  await page.fill("#search", "fn:submit_job -class:plateau");
  await until(page, `document.getElementById("found").textContent.startsWith("3 of 34")`);
  await page.keyboard.press("Enter");
  await page.keyboard.press("f");
  // It begins at the stack that was opened, and goes up to its callers.
  await page.keyboard.press("ArrowUp");
  assert.match(await page.locator("#frame").innerText(), /^backlog::\w+: \+/);
  await page.keyboard.press("Enter");
  await until(page, `location.hash.includes("zoom=")`);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click('[data-take="folded"]')]);
  assert.match(readFileSync((await download.path())!, "utf8"), /;backlog::submit_job.* \d+\n$/);
}));

test("the first screen is a sentence that goes to the clipboard", () => on("small", async (page) => {
  const text = await page.locator("#sentence").innerText();
  assert.match(text, /^Leak likely \(\d+\s% sure\): checkout-server \(pid 4711\) leaks [\d.]+ MiB\/h in 3 stacks\. Its memory reaches the 512 MiB limit in \d+ min, at \d\d:\d\d UTC( \(\d\d:\d\d to \d\d:\d\d\))?\. Top stack: session_create ← handle_request ← dispatch \(session\.c:88\), \+[\d.]+ MiB\/h\./);
  await page.click("#verdict .copy");
  await until(page, `document.querySelector("#verdict .copy").textContent === "Copied"`);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
  assert.ok((await page.locator(".reasons li").count()) >= 2);
}));

test("sections come in order and alerts say from and to", () => on("small", async (page) => {
  assert.deepEqual(await page.locator("main section[id]").evaluateAll((all) => all.map((section) => section.id)), ["verdict", "alerts", "timeline", "peak", "stacks", "flame", "limits"]);
  const first = await page.locator("#alerts-body tbody tr").first().innerText();
  assert.match(first, /session_create/);
  assert.match(first, /[\d.]+ MiB → [\d.]+ MiB/);
  assert.match(await page.locator("#peak-body li").first().innerText(), /\d\d\.\d\s%/);
  assert.match(await page.locator("#limits-body").innerText(), /What was allocated before the probes went on/);
  assert.match(await page.locator("#limits-body").innerText(), /Walks cut: no unwind table/);
}));

test("a row opens to class, evidence, survival above frames, source lines and oldest blocks", () => on("small", async (page) => {
  await page.locator("#grid .row .cells").first().click();
  const detail = page.locator("#grid .detail");
  const text = await detail.innerText();
  for (const part of [/Leak/, /session_create/, /\/src\/checkout\/session\.c:88/, /handle_request/, /oldest live blocks/, /0x7f3a/, /Survival of cohorts/, /% live after/]) assert.match(text, part);
  const [chart, frames] = [await detail.locator(".survival").boundingBox(), await detail.locator(".frames").boundingBox()];
  assert.ok(chart!.y + chart!.height <= frames!.y, "survival is above the frames");
  assert.equal(await page.locator("#grid .row .cells").first().getAttribute("aria-expanded"), "true");
  // What is the allocator's and the runtime's is one line until asked for.
  assert.doesNotMatch(text, /\bmalloc\b[^\n]*·/);
  const before = await detail.locator(".frames li").count();
  await detail.locator(".fold button").first().click();
  assert.ok((await detail.locator(".frames li").count()) >= before);
  await page.locator("#grid .row .cells").first().click();
  assert.equal(await detail.count(), 0);
}));

test("any column sorts, both ways", () => on("small", async (page) => {
  await page.click('[data-sort="live"] button');
  const live = (await listed(page)).map((row) => bytesOf(row.live));
  assert.deepEqual(live, [...live].sort((a, b) => b - a));
  assert.equal(await page.locator('[data-sort="live"]').getAttribute("aria-sort"), "descending");
  await page.click('[data-sort="live"] button');
  assert.equal(await page.locator('[data-sort="live"]').getAttribute("aria-sort"), "ascending");
  const rising = (await listed(page)).map((row) => bytesOf(row.live));
  assert.deepEqual(rising, [...rising].sort((a, b) => a - b));
  for (const column of ["rank", "class", "name", "growth", "rate", "count", "allocated", "oldest"]) {
    await page.click(`[data-sort="${column}"] button`);
    assert.notEqual(await page.locator(`[data-sort="${column}"]`).getAttribute("aria-sort"), "none", column);
  }
}));

test("search finds function, file and module, marks the flame graph, and is one link", () => on("small", async (page) => {
  await page.fill("#search", "libssl");
  await until(page, `document.getElementById("found").textContent.startsWith("2 of 23")`);
  await page.fill("#search", "cache.c");
  await until(page, `document.getElementById("found").textContent.startsWith("1 of 23")`);
  assert.deepEqual(await rows(page), ["price_cache_put"]);
  await page.fill("#search", "quote -class:saturating");
  await until(page, `document.getElementById("found").textContent.startsWith("8 of 23")`);
  await page.fill("#search", "/(/");
  await until(page, `document.getElementById("found").textContent.includes("Not a regular expression")`);
  await page.fill("#search", "nothing at all");
  await until(page, `document.querySelector("#stacks-body .empty").textContent.startsWith("No stack matches")`);
  await page.fill("#search", "session_create");
  await page.keyboard.press("Tab");
  await page.keyboard.press("f");
  await until(page, `/% matches/.test(document.querySelector("#flame output").textContent)`);
  await until(page, `location.hash.includes("q=session_create")`);
  const url = page.url();
  await on("small", async (again) => {
    assert.equal(await again.inputValue("#search"), "session_create");
    assert.match(await again.locator("#found").innerText(), /^2 of 23/);
  }, url.slice(url.indexOf("#")));
}));

test("chips narrow to alerts and classes", () => on("small", async (page) => {
  await page.click("[data-alerts]");
  await until(page, `document.getElementById("found").textContent.startsWith("5 of 23")`);
  await page.click("[data-alerts]");
  await page.click('[data-class="Leak"]');
  await until(page, `document.getElementById("found").textContent.startsWith("3 of 23")`);
  assert.equal(await page.locator('[data-class="Leak"]').getAttribute("aria-pressed"), "true");
}));

test("the keyboard alone reaches, sorts, opens and closes", () => on("small", async (page) => {
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement!.className), "skip");
  await page.keyboard.press("?");
  assert.ok(await page.locator("#help").isVisible());
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.type("handle_request");
  await until(page, `document.getElementById("found").textContent.startsWith("16 of 23")`);
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement!.id), "grid");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  const active = await page.locator("#grid").getAttribute("aria-activedescendant");
  assert.equal(await page.locator(`#${active}`).getAttribute("aria-expanded"), "true");
  assert.equal(await page.locator("#grid .detail").count(), 1);
  await page.keyboard.press("ArrowLeft");
  assert.equal(await page.locator("#grid .detail").count(), 0);
  await page.keyboard.press("6");
  assert.equal(await page.locator('[data-sort="live"]').getAttribute("aria-sort"), "descending");
  await page.keyboard.press("End");
  const last = await page.locator("#grid").getAttribute("aria-activedescendant");
  assert.notEqual(last, active);
  // Every control that is reached says what it is.
  const nameless = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>("button, input, select, [tabindex='0'], a[href]")].filter((node) => !(node.textContent?.trim() || node.getAttribute("aria-label") || node.closest("label")?.textContent?.trim() || node.title)).map((node) => node.outerHTML.slice(0, 120)));
  assert.deepEqual(nameless, []);
}));

test("the flame graph zooms, turns around and comes back, by key and by mouse", () => on("small", async (page) => {
  await page.keyboard.press("f");
  const reading = page.locator("#frame");
  assert.match(await reading.innerText(), /^all stacks:/);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.match(await reading.innerText(), /^handle_request:/);
  await page.keyboard.press("ArrowDown");
  assert.match(await reading.innerText(), /^session_create: \+[\d.]+ MiB/);
  await page.keyboard.press("Enter");
  await until(page, `location.hash.includes("zoom=")`);
  const zoomed = page.url();
  assert.match(await page.locator("#announce").innerText(), /^Zoomed to session_create/);
  await page.keyboard.press("s");
  await until(page, `location.hash.includes("shape=sandwich")`);
  await page.keyboard.press("ArrowUp");
  assert.match(await reading.innerText(), /^handle_request/);
  await page.click('[data-shape="inverted"]');
  await page.locator("#flame-graph").focus();
  await page.keyboard.press("ArrowDown");
  assert.match(await reading.innerText(), /^session_create/);
  await page.click('[data-shape="calls"]');
  const canvas = (await page.locator("#flame-graph canvas").boundingBox())!;
  await page.mouse.click(canvas.x + 40, canvas.y + 50);
  await until(page, `location.hash.includes("zoom=")`);
  assert.ok(!(await page.locator("#flame").getByText("Reset zoom").isDisabled()));
  await page.getByText("Reset zoom").click();
  await until(page, `!location.hash.includes("zoom=")`);
  await on("small", async (again) => {
    await again.locator("#flame-graph").scrollIntoViewIfNeeded();
    assert.match(await again.locator("#frame").innerText(), /^session_create/);
  }, zoomed.slice(zoomed.indexOf("#")));
}));

test("a stretch of the timeline, by key and by drag, is what growth means below", () => on("small", async (page) => {
  const growth = () => page.locator("#grid .row .growth").first().innerText();
  const all = await growth();
  await page.keyboard.press("g");
  for (let i = 0; i < 30; i++) await page.keyboard.press("Shift+ArrowLeft");
  await until(page, `location.hash.includes("time=89-119")`);
  assert.match(await page.locator("#found").innerText(), /from 15:00 to 20:00/);
  assert.notEqual(await growth(), all);
  await page.keyboard.press("Escape");
  await until(page, `!location.hash.includes("time=")`);
  assert.equal(await growth(), all);
  const plot = (await page.locator("#timeline .u-over").boundingBox())!;
  await page.mouse.move(plot.x + plot.width * 0.25, plot.y + 50);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width * 0.5, plot.y + 60, { steps: 5 });
  await page.mouse.up();
  await until(page, `/time=\\d+-\\d+/.test(location.hash)`);
  await page.keyboard.press("f");
  assert.match(await page.locator("#flame .lead").innerText(), /from \d+:\d\d to \d+:\d\d/);
}));

test("a colour of the timeline selects its row, a name opens it", () => on("small", async (page) => {
  await page.keyboard.press("g");
  const plot = (await page.locator("#timeline .u-over").boundingBox())!;
  await page.mouse.click(plot.x + plot.width * 0.95, plot.y + plot.height * 0.6);
  await until(page, `document.querySelector("#grid .row.selected .title")?.textContent === "session_create"`);
  await page.locator("#timeline .legend .link").nth(1).click();
  await until(page, `document.querySelectorAll("#grid .detail").length === 1`);
  await until(page, `/stack=\\d+/.test(location.hash) && /open=\\d+/.test(location.hash)`);
  const [hash, name] = [new URL(page.url()).hash, await page.locator("#grid .row.selected .title").innerText()];
  await on("small", async (again) => {
    assert.equal(await again.locator("#grid .row.selected .title").innerText(), name);
    assert.equal(await again.locator("#grid .detail").count(), 1);
  }, hash);
}));

test("the weight is one choice for timeline, table and flame graph", () => on("small", async (page) => {
  await page.click('[data-weight="allocated"]');
  const allocated = (await listed(page)).map((row) => bytesOf(row.allocated));
  assert.deepEqual(allocated, [...allocated].sort((a, b) => b - a));
  assert.match(await page.locator("#timeline .lead").innerText(), /bytes allocated/);
  await page.keyboard.press("f");
  assert.match(await page.locator("#flame .lead").innerText(), /bytes allocated/);
}));

test("what the filter leaves goes away as CSV, folded stacks and a profile", () => on("small", async (page) => {
  await page.fill("#search", "session_create");
  await until(page, `document.getElementById("found").textContent.startsWith("2 of 23")`);
  const take = async (form: string) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`[data-take="${form}"]`)]);
    assert.equal(download.suggestedFilename(), `leakhound-checkout-server-pid-4711.${form}`);
    return readFileSync((await download.path())!);
  };
  const csv = (await take("csv")).toString("utf8").trimEnd().split("\r\n");
  assert.equal(csv.length, 3);
  assert.match(csv[1]!, /^\d+,"\w+","session_create","\/src\/checkout\/session\.c",88,/);
  const folded = (await take("folded")).toString("utf8").trimEnd().split("\n");
  assert.equal(folded.length, 2);
  for (const line of folded) assert.match(line, /^[^;]+(;[^;]+)*;session_create;.* \d+$/);
  const profile = await take("pb.gz");
  const names = gunzipSync(profile).toString("latin1");
  for (const name of ["session_create", "/src/checkout/session.c", "growth_space", "inuse_space", "alloc_objects"]) assert.ok(names.includes(name), name);
  assert.ok(!names.includes("price_cache_put"), "what the filter hides stays");
  const directory = mkdtempSync(join(tmpdir(), "leakhound-profile-"));
  try {
    writeFileSync(join(directory, "taken.pb.gz"), profile);
    const top = execFileSync("go", ["tool", "pprof", "-top", "-cum", "-unit=B", join(directory, "taken.pb.gz")], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, PPROF_TMPDIR: directory } });
    assert.match(top, /Type: growth_space/);
    assert.match(top, /100%\s+session_create/);
  } catch (error) {
    if (process.env.CI || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    console.error("skipped: go is not installed, so no other tool read the profile");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}));

test("the next command is there to be copied", () => on("small", async (page) => {
  await page.click(".onward summary");
  const first = page.locator(".onward li").first();
  assert.match(await first.locator("code").innerText(), /^leakhound run --max-blocks \d+ --duration 20m .* --pid 4711$/);
  await first.locator(".copy").click();
  await until(page, `document.querySelector(".onward .copy").textContent === "Copied"`);
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await first.locator("code").innerText());
  assert.match(await page.locator(".onward").innerText(), /leakhound diff before\.lhr after\.lhr/);
}));

test("the verdict says beside itself what it cannot tell", () => on("small", async (page) => {
  assert.match(await page.locator("#verdict .short-of").innerText(), /What was allocated before the probes went on[\s\S]*Lost on the way: /);
  await page.click("#verdict .short-of a");
  assert.equal(await page.evaluate(() => document.activeElement!.id), "limits-title");
}));

test("a damaged file says so instead of staying blank", async () => {
  const path = fileURLToPath(sample("damaged"));
  const html = readFileSync(fileURLToPath(sample("small")), "utf8");
  const at = html.indexOf('type="text/plain">') + 4_000;
  writeFileSync(path, html.slice(0, at) + html.slice(at + 500));
  const own = await launch();
  try {
    const page = await own.context.newPage();
    await page.goto(sample("damaged"));
    await page.waitForSelector("#failure:not([hidden])");
    assert.match(await page.locator("#failure").innerText(), /could not be read/);
  } finally {
    await own.close();
    rmSync(path);
  }
});
