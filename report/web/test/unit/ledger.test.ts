import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { entry } from "../../src/ledger.ts";

const rust = (path: string) => readFileSync(new URL(`../../../../${path}`, import.meta.url), "utf8");

test("every entry that the Rust side writes is explained", () => {
  const keys = [
    ...rust("ebpf/src/abi/ledger.rs").matchAll(/= \d+, "(\w+)";/g),
    ...rust("report/src/recording/skipped.rs").matchAll(/=> "(\w+)"/g),
    ...rust("report/src/memleak/losses.rs").matchAll(/=> "(\w+)"/g),
    ...rust("tracer/src/investigation/ledger.rs").matchAll(/\("(\w+)", own/g),
  ].map(([, key]) => key!);
  assert.ok(keys.length > 40, `${keys.length} keys found: has the source moved?`);
  const unexplained = keys.filter((key) => entry(key).label.toLowerCase() === key.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase() && entry(key).meaning === "");
  assert.deepEqual(unexplained, []);
});

test("an entry that this page does not know is shown in words, losses as losses", () => {
  assert.deepEqual(entry("eventsLost"), { label: "Events lost", meaning: "", loss: true });
  assert.deepEqual(entry("someNewCount"), { label: "Some new count", meaning: "", loss: false });
  for (const name of ["__proto__", "constructor", "toString", ""]) assert.equal(entry(name).loss, false);
});
