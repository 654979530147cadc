import assert from "node:assert/strict";
import { test } from "node:test";
import { Calls, paths, type Call, type Paths } from "../../src/calls.ts";
import { layout } from "../../src/icicle.ts";
import { weigh, whole } from "../../src/weights.ts";
import { report, server } from "./fixture.ts";

type Tree = { [name: string]: [number, number, Tree] };
const all = () => true;

/** The whole tree as plain values: name -> [value, size, children]. */
function tree(calls: Calls, run: Paths, functions: string[], call: Call, step: 1 | -1): Tree {
  return Object.fromEntries(calls.children(call, step, 0).map((child) => [child.name === run.folded ? "⋯" : functions[child.name]!, [child.value, child.size, tree(calls, run, functions, child, step)]]));
}

test("folding leaves out allocator and start-up, and makes one frame of what lies between", async () => {
  const of = await server();
  const run = paths(of, true);
  const names = (stack: number) => Array.from(run.names.subarray(run.start[stack], run.start[stack + 1]), (name) => (name === run.folded ? "⋯" : of.data.functions[name]));
  assert.deepEqual(names(0), ["main", "handle", "session_new"]);
  assert.deepEqual(names(1), ["main", "handle", "⋯", "cache_put"]);
  const whole = paths(of, false);
  assert.equal(whole.start[2]! - whole.start[1]!, 7);
});

test("a stack of nothing but runtime is not folded away", async () => {
  const of = await report({ stacks: [["*malloc", "~_start"]], live: [[1, 2]] });
  assert.equal(paths(of, true).names.length, 2);
});

test("sums are the stacks', and growth keeps its sign beside its size", async () => {
  const of = await server();
  const run = paths(of, true);
  const calls = new Calls(run, weigh(of, "growth", whole(of)));
  const root = calls.root(true, all);
  assert.deepEqual([root.value, root.size], [10, 30]);
  // config did not change and weighs nothing
  assert.deepEqual(tree(calls, run, of.data.functions, root, 1), {
    main: [10, 30, { handle: [10, 30, { session_new: [20, 20, {}], "⋯": [-10, 10, { cache_put: [-10, 10, {}] }] }] }],
  });
});

test("inverted, what leaks over many paths adds up", async () => {
  const of = await report({ stacks: [["dup", "a", "main"], ["dup", "b", "main"], ["x", "main"]], live: [[3], [4], [5]] });
  const run = paths(of, true);
  const calls = new Calls(run, weigh(of, "live", whole(of)));
  const top = calls.children(calls.root(false, all), -1, 0);
  assert.deepEqual(top.map((call) => [of.data.functions[call.name], call.value]), [["dup", 7], ["x", 5]]);
});

test("around a function every stack counts once, also when it calls itself", async () => {
  const of = await report({ stacks: [["leaf", "f", "g", "f", "main"], ["f", "start"]], live: [[3], [4]] });
  const run = paths(of, true);
  const calls = new Calls(run, weigh(of, "live", whole(of)));
  const call = calls.around(of.data.functions.indexOf("f"), all);
  assert.equal(call.value, 7);
  assert.deepEqual(tree(calls, run, of.data.functions, call, -1), { start: [4, 4, {}], main: [3, 3, {}] });
  assert.deepEqual(tree(calls, run, of.data.functions, call, 1), { g: [3, 3, { f: [3, 3, { leaf: [3, 3, {}] }] }] });
});

test("what is too small to be seen is never made, and what is filtered out is not there", async () => {
  const of = await server();
  const calls = new Calls(paths(of, true), weigh(of, "live", whole(of)));
  const root = calls.root(true, all);
  assert.equal(calls.children(calls.children(root, 1, 0)[0]!, 1, 10).length, 1);
  assert.equal(calls.root(true, (stack) => stack === 2).value, 7);
});

test("frames fill the width of their parent and never more", async () => {
  const of = await server();
  const calls = new Calls(paths(of, true), weigh(of, "live", whole(of)));
  const picture = layout(calls.root(true, all), 1000, (call) => calls.children(call, 1, 0));
  assert.deepEqual(picture.boxes.map((box) => [box.row, Math.round(box.width)]).slice(0, 4), [[0, 1000], [1, 1000], [2, 909], [2, 91]]);
  for (const box of picture.boxes) assert.ok(box.x >= 0 && box.x + box.width <= 1000.001);
});
