import assert from "node:assert/strict";
import { test } from "node:test";
import { accumulate, decode, measured, varints } from "../../src/decode.ts";
import { packed, server, varint } from "./fixture.ts";

test("varints come back, also beyond 32 bits and at the largest that Rust writes", () => {
  const values = [0, -1, 1, 63, -64, 64, 300, -70_000, 2 ** 31, -(2 ** 40), 2 ** 52 - 1, 1 - 2 ** 52];
  assert.deepEqual(Array.from(varints(varint(values))), values.map((value) => value));
});

test("a column cut in the middle of a value ends, and does not hang", () => {
  assert.equal(varints(Uint8Array.from([2, 0x80])).length, 2);
});

test("differences are summed within their row only", () => {
  assert.deepEqual(Array.from(accumulate(Float64Array.from([5, 1, 1, 9, -2, 0]), 3)), [5, 6, 7, 9, 7, 7]);
});

test("0 is nothing, and 0 measured is not nothing", () => {
  assert.equal(measured(0, 1), undefined);
  assert.equal(measured(1, 1), 0);
  assert.equal(measured(-5, 1), -5);
  assert.equal(measured(501, 1000), 0.5);
});

test("a report decodes into frames, titles and series", async () => {
  const report = await server();
  assert.equal(report.stacks, 3);
  assert.deepEqual(report.seconds, [10, 20, 30]);
  assert.deepEqual(Array.from(report.series(1)), [50, 80, 40]);
  assert.deepEqual(report.places(1).map((place) => report.place(place).function), ["malloc", "std::vector::push_back", "cache_put", "std::for_each", "handle", "main", "_start"]);
  assert.equal(report.titlePlace(1)!.function, "cache_put");
  assert.equal(report.titlePlace(1)!.line, 9);
  assert.equal(report.class(0), "Leak");
  assert.equal(report.growthPerHour[0], 3600);
  assert.equal(report.stackOf(101), 1);
  assert.equal(report.stackOf(99), undefined);
});

test("damaged data is refused, never half read", async () => {
  const text = packed({ stacks: [["f"]], live: [[1]] });
  await assert.rejects(decode(text.slice(0, text.length / 2)));
  await assert.rejects(decode("not base64 !"));
  await assert.rejects(decode(""));
});
