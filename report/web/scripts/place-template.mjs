// Puts the built page where the Rust crate includes it; with --check only compares, for CI.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const built = readFileSync(here("../dist/index.html"), "utf8");
const target = here("../../assets/report.html");
if (built.split("__LEAKHOUND_DATA__").length !== 2) throw new Error("the built page must have exactly one place for data");
if (!process.argv.includes("--check")) {
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, built);
  console.log(`report/assets/report.html: ${built.length} characters`);
} else if (readFileSync(target, "utf8") !== built) {
  console.error("report/assets/report.html is not what report/web builds: run `npm run build` in report/web and commit it");
  process.exit(1);
} else {
  console.log("report/assets/report.html is what report/web builds");
}
