// Chromium as the tests use it: the system's own, with nothing in it that would talk to anybody.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium, type BrowserContext, type BrowserContextOptions, type Page } from "playwright-core";

const CANDIDATES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** Where `npm run samples` puts the reports. */
export const SAMPLES = process.env.SAMPLES ?? new URL("../../samples", import.meta.url).pathname;
export const sample = (name: string, hash = "") => pathToFileURL(join(SAMPLES, `${name}.html`)).href + hash;

export interface Session {
  context: BrowserContext;
  /** Requests beyond the file itself, and everything a console said: both must stay empty. */
  requests: string[];
  complaints: string[];
  close: () => Promise<void>;
}

export async function launch(options: BrowserContextOptions = {}): Promise<Session> {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium found: install the package chromium, or set CHROMIUM to the path of one");
  const profile = mkdtempSync(join(tmpdir(), "leakhound-page-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath, headless: true, args: FLAGS, viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", timezoneId: "UTC", locale: "en-GB",
    permissions: ["clipboard-read", "clipboard-write"], ...options,
  });
  const [requests, complaints]: [string[], string[]] = [[], []];
  context.on("request", (request) => !request.url().startsWith("file:") && !request.url().startsWith("data:") && requests.push(request.url()));
  context.on("console", (message) => (message.type() === "error" || message.type() === "warning") && complaints.push(message.text()));
  context.on("weberror", (error) => complaints.push(String(error.error())));
  return {
    context, requests, complaints,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Opens a sample and waits until it is drawn. */
export async function open(session: Session, name: string, hash = ""): Promise<Page> {
  const page = await session.context.newPage();
  await page.goto(sample(name, hash));
  await page.waitForSelector("html[data-ready]", { timeout: 20_000 });
  return page;
}

/** Waits until an expression holds in the page. Playwright's own wait is refused by the page's policy. */
export async function until(page: Page, condition: string) {
  const deadline = Date.now() + 5_000;
  while (!(await page.evaluate(condition).catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`did not come true within 5 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}
