import assert from "node:assert/strict";
import { test } from "node:test";
import { sentence, subject } from "../../src/verdict.ts";
import { report } from "./fixture.ts";

test("a recording of the whole machine speaks of the kernel, one of a process of the kernel working for it", async () => {
  const kernel = (target: Record<string, unknown>) => report({
    stacks: [["seq_buf_alloc"]], live: [[10, 20, 30]], classes: ["Leak"],
    facts: { mode: "Kernel", target, verdict: { name: "LeakLikely", confidencePercent: 80, reasons: [] } },
  });
  const machine = await kernel({ pids: [], command: "the whole machine" });
  assert.equal(subject(machine), "the kernel");
  assert.match(sentence(machine), /: the kernel leaks /);
  assert.match(sentence(await kernel({ pids: [7], command: "/usr/bin/postgres -D x" })), /: the kernel, working for postgres \(pid 7\), leaks /);
  const pod = { namespace: "shop", name: "cart-6c9f-x2lqp", container: "app" };
  assert.match(sentence(await kernel({ pids: [7], command: "/usr/bin/postgres -D x", pod })), /: the kernel, working for shop\/cart-6c9f-x2lqp, leaks /);
});
