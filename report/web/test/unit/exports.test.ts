import assert from "node:assert/strict";
import { test } from "node:test";
import { csv, folded } from "../../src/exports.ts";
import { stepsOf } from "../../src/onward.ts";
import { weigh, whole } from "../../src/weights.ts";
import { report, server } from "./fixture.ts";

test("folded stacks are one line each, outermost first, and only what weighs something", async () => {
  const of = await server();
  assert.equal(folded(of, [0, 1, 2], weigh(of, "live", whole(of))), [
    "_start;main;config;malloc 7\n",
    "_start;main;handle;session_new;malloc 30\n",
    "_start;main;handle;std::for_each;cache_put;std::vector::push_back;malloc 40\n",
  ].join(""));
  assert.equal(folded(of, [0, 1, 2], weigh(of, "growth", whole(of))), "_start;main;handle;session_new;malloc 20\n");
});

test("names cannot become another line, frame or number", async () => {
  const of = await report({ stacks: [["a;b\nc 7", "#main"], ["x\u2028y", " "], ["a;b\nc 7", "#main"]], live: [[1, 2], [3, 4], [5, 6]] });
  assert.equal(folded(of, [0, 1, 2], weigh(of, "live", whole(of))), "[unknown];x y 4\n_#main;a:b c_7 8\n");
});

test("CSV holds what it holds: no formula, no broken row", async () => {
  const of = await report({ stacks: [["=cmd|' /C calc'!A0", "ma\"in,\n"], ["-1+1"]], live: [[1, 20], [7, 7]], classes: ["Leak", "Plateau"], facts: { because: ["It grew."] } });
  const rows = csv(of, [0, 1], weigh(of, "growth", whole(of))).trimEnd().split("\r\n");
  assert.equal(rows.length, 3);
  assert.equal(rows[0]!.split(",").length, 16);
  assert.ok(rows[1]!.startsWith(`1,"Leak","'=cmd|' /C calc'!A0","",,`), rows[1]);
  assert.ok(rows[1]!.endsWith(`"It grew.","'=cmd|' /C calc'!A0 < ma""in,\\u000a"`), rows[1]);
  assert.match(rows[1]!, /,19,\d+,20,,/);
  assert.ok(rows[2]!.includes(`"'-1+1"`), rows[2]);
});

const commands = async (facts: Record<string, unknown>) => stepsOf(await report({ stacks: [["main"]], live: [[1, 2, 3]], facts: { source: "leakhound", ...facts } })).map(({ command }) => command);
const leak = { verdict: { name: "LeakLikely", confidencePercent: 95, reasons: [] }, durationSeconds: 90 };
const after = "--recording after.lhr --html after.html";

test("the next command names the same target and cannot do anything else", async () => {
  assert.deepEqual(await commands({ ...leak, target: { pids: [4711], command: "/srv/app --x" } }), [`leakhound run --duration 90s ${after} --pid 4711`]);
  assert.match((await commands({ ...leak, target: { pids: [1], command: "./a b;reboot 'c", launched: true } }))[0]!, / -- \.\/a 'b;reboot' ''\\''c'$/);
  assert.deepEqual(await commands({ ...leak, target: { pids: [1], command: "./a\nreboot", launched: true } }), []);
  assert.match((await commands({ ...leak, target: { pids: [1], command: "", container: "3f4e1c2b9a77dd" } }))[0]!, / --container 3f4e1c2b9a77$/);
  assert.deepEqual(await commands({ verdict: { name: "Inconclusive", confidencePercent: 0, reasons: [] }, durationSeconds: 10, target: { pids: [4711], command: "" }, ledger: [["blocksFull", 3]] }), [
    `leakhound run --max-blocks 8000000 --duration 10s ${after} --pid 4711`,
    `leakhound run --duration 1m ${after} --pid 4711`,
  ]);
  const none = { name: "NoLeakObserved", confidencePercent: 90, reasons: [] };
  assert.deepEqual(await commands({ ...leak, mode: "Growth", verdict: { name: "GrowthUnexplained", confidencePercent: 60, reasons: [] }, target: { pids: [7], command: "" } }), [
    `leakhound run --mode heap --duration 90s ${after} --pid 7`, `leakhound run --mode growth --duration 90s ${after} --pid 7`, `leakhound run --mode growth --duration 10m ${after} --pid 7`,
  ]);
  assert.deepEqual(await commands({ mode: "Kernel", verdict: none, durationSeconds: 60, target: { pids: [], command: "" } }), [`leakhound run --mode kernel --duration 10m ${after}`]);
  assert.deepEqual(await commands({ verdict: none, durationSeconds: 60, endReason: "budget", totals: { allocatedCount: 0 }, target: { pids: [7], command: "" } }), [
    `leakhound run --mode growth --duration 1m ${after} --pid 7`, `leakhound run --budget off --duration 1m ${after} --pid 7`, `leakhound run --duration 10m ${after} --pid 7`,
  ]);
  assert.deepEqual(await commands({ source: "memleak-bcc", target: { pids: [9], command: "" }, durationSeconds: 300 }), [`leakhound run --duration 1h ${after} --pid 9`]);
});

test("on a cluster it is the pod that is named, and only what kubectl leak can do", async () => {
  const pod = { namespace: "shop", name: "cart-6c9f-x2lqp", container: "app" };
  const target = { pids: [4711], command: "/srv/app", container: "3f4e1c2b9a77", pod };
  const run = "kubectl leak run cart-6c9f-x2lqp -n shop -c app";
  assert.deepEqual(await commands({ ...leak, target }), [`${run} --duration 90s`]);
  assert.deepEqual(await commands({ ...leak, durationSeconds: 5, mode: "Growth", target }), [`${run} --duration 15s`, `${run} --mode growth --duration 15s`]);
  const none = { name: "NoLeakObserved", confidencePercent: 90, reasons: [] };
  assert.deepEqual(await commands({ verdict: none, durationSeconds: 600, endReason: "budget", ledger: [["blocksFull", 3]], target }), [`${run} --duration 1h`]);
  assert.deepEqual(await commands({ ...leak, endReason: "targetExited", target }), []);
  assert.deepEqual(await commands({ ...leak, target: { ...target, pod: { ...pod, name: "\u202ecart" } } }), []);
});

test("the same again is what was asked, where it was watched for that long", async () => {
  const target = { pids: [7], command: "" };
  const settings = { durationNs: 60e9, intervalNs: 5e9, minSizeBytes: 0, samplePeriodBytes: 0, cohortNs: 5e9 };
  assert.deepEqual(await commands({ ...leak, durationSeconds: 61.2, settings, target }), [`leakhound run --duration 1m ${after} --pid 7`]);
  assert.deepEqual(await commands({ ...leak, durationSeconds: 31, settings, target }), [`leakhound run --duration 31s ${after} --pid 7`]);
});

test("a process that has ended is started again, and one that cannot be had again is not named", async () => {
  const ended = { ...leak, endReason: "targetExited" };
  assert.deepEqual(await commands({ ...ended, target: { pids: [4711], command: "/srv/app --x" } }), [`leakhound run --duration 90s ${after} -- /srv/app --x`]);
  for (const target of [{ pids: [4711], command: "" }, { pids: [4711], command: "nginx: worker process" }, { pids: [4711], command: "/srv/app", container: "3f4e1c2b9a77" }])
    assert.deepEqual(await commands({ ...ended, target }), []);
  assert.deepEqual(await commands({ source: "memleak-bcc", target: { pids: [], command: "" }, durationSeconds: 300 }), []);
  const few = { verdict: { name: "Inconclusive", confidencePercent: 0, reasons: [] }, durationSeconds: 4, endReason: "targetExited" };
  assert.deepEqual(await commands({ ...few, target: { pids: [1], command: "./a", launched: true } }), [`leakhound run --duration 1m --interval 200ms ${after} -- ./a`]);
});

test("only a recording that is kept is compared with, and it is not written over", async () => {
  const target = { pids: [7], command: "" };
  assert.equal((await commands({ ...leak, target, keptAs: "logs/be fore.lhr" }))[1], "leakhound diff 'logs/be fore.lhr' after.lhr");
  assert.deepEqual(await commands({ ...leak, target, keptAs: "after.lhr" }), ["leakhound run --duration 90s --recording later.lhr --html later.html --pid 7", "leakhound diff after.lhr later.lhr"]);
});
