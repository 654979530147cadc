import assert from "node:assert/strict";
import { test } from "node:test";
import { ordered } from "../../src/order.ts";
import { pooled } from "../../src/survival.ts";
import { fromHash, initial, toHash, View, type State } from "../../src/view.ts";
import { defaultWeight, heaviest, weigh, whole } from "../../src/weights.ts";
import { report, server } from "./fixture.ts";

test("a state survives the way through an address", async () => {
  const of = await server();
  const state: State = {
    query: "a -b /c d/ ü&=#", alertsOnly: true, classes: ["Leak", "Plateau"], module: "/bin/app", weight: "live", sort: "name", descending: true,
    stretch: [0, 2], stack: 1, open: [1, 2], shape: "sandwich", zoom: [2, 1], around: 3, folded: false, focused: true,
  };
  assert.deepEqual(fromHash(`#${toHash(state, of)}`, of), state);
  assert.equal(toHash(initial(of), of), "");
  assert.deepEqual(fromHash("", of), initial(of));
});

test("an address that makes no sense is passed over", async () => {
  const of = await server();
  for (const hash of ["#peak", "#stack=9999", "#time=2-0", "#time=0-99", "#weight=__proto__", "#weight=constructor", "#sort=toString", "#shape=x", "#zoom=99999999.-1.x", "#around=1e9", "#class=Nope", "#module=/etc", "#%", "#open=,,,", "#stack=-1"]) assert.deepEqual(fromHash(hash, of), initial(of), hash);
});

test("listeners hear once, and only what they asked for", async () => {
  const of = await server();
  const view = new View(initial(of));
  const heard: string[] = [];
  view.on(["query", "weight"], () => heard.push("a"));
  view.on(["sort"], () => heard.push("b"));
  view.set({ query: "x", weight: "live" });
  view.set({ query: "x" });
  assert.deepEqual(heard, ["a"]);
});

test("growth is within the stretch, and the default where anything grew", async () => {
  const of = await server();
  assert.deepEqual(Array.from(weigh(of, "growth", whole(of))), [20, -10, 0]);
  assert.deepEqual(Array.from(weigh(of, "growth", [0, 1])), [10, 30, 0]);
  assert.deepEqual(Array.from(weigh(of, "live", [0, 1])), [20, 80, 7]);
  assert.equal(defaultWeight(of), "growth");
  assert.equal(defaultWeight(await report({ stacks: [["f"]], live: [[5, 4]] })), "live");
  assert.equal(defaultWeight(await report({ stacks: [], live: [] })), "live");
  assert.deepEqual(heaviest(Float64Array.from([3, -1, 0, 9]), 10), [3, 0]);
});

test("what was allocated within a stretch is what stayed and what was freed", async () => {
  const of = await report({ stacks: [["a"], ["b"]], live: [[10, 20, 30], [5, 5, 5]], columns: { freed: [0, 0, 0, 100, 50, 7], allocatedBytes: [30, 162] } });
  assert.deepEqual(Array.from(weigh(of, "allocated", whole(of))), [30, 162]);
  assert.deepEqual(Array.from(weigh(of, "allocated", [0, 1])), [10, 50]);
  assert.deepEqual(Array.from(weigh(of, "allocated", [1, 2])), [10, 7]);
});

test("the table sorts by any column, ties and unknowns in place", async () => {
  const of = await server();
  const order = (patch: Partial<State>) => Array.from(ordered(of, { ...initial(of), ...patch }, new Uint8Array([1, 1, 1])));
  assert.deepEqual(order({}), [0, 1, 2]);
  assert.deepEqual(order({ descending: true }), [2, 1, 0]);
  assert.deepEqual(order({ sort: "growth", descending: true }), [0, 2, 1]);
  assert.deepEqual(order({ sort: "live" }), [2, 0, 1]);
  assert.deepEqual(order({ sort: "name" }), [1, 2, 0]);
  assert.deepEqual(order({ sort: "oldest", descending: true }), [0, 1, 2]);
  assert.deepEqual(order({ sort: "growth", stretch: [0, 1], descending: true }), [1, 0, 2]);
  assert.deepEqual(Array.from(ordered(of, initial(of), new Uint8Array([0, 1, 0]))), [1]);
});

test("survival pools cohorts by age, each by its bytes", () => {
  const mean = pooled([
    { end: 10, allocated: 100, points: [[0, 1], [10, 1], [20, 1]] },
    { end: 20, allocated: 300, points: [[0, 1], [10, 0]] },
  ]);
  assert.deepEqual(mean, [[0, 1], [10, 0.25], [20, 1]]);
});
