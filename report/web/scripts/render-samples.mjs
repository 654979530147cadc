// Writes the reports that the browser tests open, with the Rust that renders real ones.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const to = process.env.SAMPLES ?? here("../samples");
const cargo = ["run", "--quiet", "--package", "leakhound-report", "--example", "render_samples", ...(process.env.PROFILE === "release" ? ["--release"] : []), "--", to];
const { status, error } = spawnSync("cargo", cargo, { cwd: here("../../.."), stdio: "inherit" });
if (error) console.error(`cannot run cargo: ${error.message}`);
process.exit(status ?? 1);
