import assert from "node:assert/strict";
import { test } from "node:test";
import { filter } from "../../src/filter.ts";
import { match, parse } from "../../src/query.ts";
import { initial } from "../../src/view.ts";
import { server } from "./fixture.ts";

const found = async (text: string) => Array.from(match(await server(), parse(text)).stacks);

test("words are looked for in functions, files and modules, all of them, in any case", async () => {
  assert.deepEqual(await found(""), [1, 1, 1]);
  assert.deepEqual(await found("SESSION"), [1, 0, 0]);
  assert.deepEqual(await found("config.c"), [0, 0, 1]);
  assert.deepEqual(await found("libc"), [1, 1, 1]);
  assert.deepEqual(await found("handle cache"), [0, 1, 0]);
  assert.deepEqual(await found("nothing"), [0, 0, 0]);
});

test("a minus leaves out, a field narrows down, quotes hold a space", async () => {
  assert.deepEqual(await found("handle -cache"), [1, 0, 0]);
  assert.deepEqual(await found("-handle"), [0, 0, 1]);
  assert.deepEqual(await found("file:session"), [1, 0, 0]);
  assert.deepEqual(await found("fn:src"), [0, 0, 0]);
  assert.deepEqual(await found("class:leak"), [1, 0, 0]);
  assert.deepEqual(await found("-class:leak"), [0, 1, 1]);
  assert.deepEqual(await found('"no such"'), [0, 0, 0]);
  assert.deepEqual(await found("std::for_each"), [0, 1, 0]);
});

test("regular expressions match, and a broken one is told and not fatal", async () => {
  assert.deepEqual(await found("/^(session|config)/"), [1, 0, 1]);
  assert.deepEqual(await found("-/put$/"), [1, 0, 1]);
  const broken = parse("/(/");
  assert.ok(broken.problem);
  assert.equal(broken.terms.length, 0);
});

test("half-typed and odd lines never throw", () => {
  for (const text of ["-", "--", "/", "//", "\"", "file:", "-file:", "class:", "/a", "\\", "__proto__", "constructor:x", "a".repeat(5000)]) assert.doesNotThrow(() => parse(text), text);
});

test("only the places that were asked for are marked", async () => {
  const report = await server();
  const { places } = match(report, parse("handle -cache"));
  const marked = report.places(0).filter((place) => places![place]);
  assert.deepEqual(marked.map((place) => report.place(place).function), ["handle"]);
  assert.equal(match(report, parse("-cache")).places, undefined);
});

test("chips and words work together", async () => {
  const report = await server();
  const state = { ...initial(report), classes: ["Leak", "Plateau"] as const };
  assert.deepEqual(Array.from(filter(report, state).stacks), [1, 0, 1]);
  assert.equal(filter(report, { ...state, query: "handle" }).count, 1);
  assert.equal(filter(report, { ...state, alertsOnly: true }).count, 0);
  assert.equal(filter(report, { ...initial(report), module: "/bin/app" }).count, 3);
  assert.equal(filter(report, initial(report)).all, true);
});
