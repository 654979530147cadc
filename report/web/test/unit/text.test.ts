import assert from "node:assert/strict";
import { test } from "node:test";
import { legible, short, tail } from "../../src/text.ts";
import { bytes, duration, elapsed, percent, perHour, rough, tick } from "../../src/units.ts";

test("what hides or reorders is shown for what it is", () => {
  assert.equal(legible("\u202egnp.elif"), "\\u202egnp.elif");
  assert.equal(legible("a\0b\u2028c\u200bd\ufeffe"), "a\\u0000b\\u2028c\\u200bd\\ufeffe");
  assert.equal(legible("x\ud800y\udc00z"), "x\\ud800y\\udc00z");
  assert.equal(legible("tag \u{e0041}"), "tag \\ue0041");
  assert.equal(legible("日本語 🦀 שלום"), "日本語 🦀 שלום");
  assert.equal(legible(""), "(no name)");
  assert.equal(legible(" \t"), "(blank name)");
});

test("2,000 characters are cut in the middle, at whole characters", () => {
  const cut = legible("🦀".repeat(1000), 99);
  assert.ok(cut.length <= 101, String(cut.length));
  assert.ok(!/[\ud800-\udbff](?![\udc00-\udfff])/.test(cut));
  assert.match(legible(`${"a".repeat(1000)}END`, 60), /^a+ … a+END$/);
});

test("a title is the name without arguments and long template arguments", () => {
  for (const [name, title] of [
    ["handle_request", "handle_request"],
    ["CartStore::add(Cart const&)", "CartStore::add"],
    ["std::vector<LineItem, std::allocator<LineItem> >::push_back(LineItem const&)", "std::vector<…>::push_back"],
    ["Map<int>::find(int)", "Map<int>::find"],
    ["operator new(unsigned long)", "operator new"],
    ["Foo::operator()(int) const", "Foo::operator()"],
    ["Foo::operator<<(int)", "Foo::operator<<"],
    ["(anonymous namespace)::run(int)", "(anonymous namespace)::run"],
    ["<app::Cache as core::ops::Drop>::drop", "<app::Cache as core::ops::Drop>::drop"],
    ["main.(*Table).insert", "main.(*Table).insert"],
    ["libc.so.6+0x2724a", "libc.so.6+0x2724a"],
    ["__proto__", "__proto__"],
    ["<<<<", "<<<<"],
    [")>(", ")>"],
  ] as const) assert.equal(short(name), title, name);
  assert.ok(short("<".repeat(5000) + "(".repeat(5000)).length < 200);
  assert.equal(tail("/a/b/c/d.c"), "c/d.c");
  assert.equal(tail("d.c"), "d.c");
});

test("numbers read as people write them", () => {
  for (const [value, text] of [[0, "0 B"], [512, "512 B"], [1023, "1023 B"], [1024, "1.00 KiB"], [1536, "1.50 KiB"], [10.5 * 1024, "10.5 KiB"], [1023.7 * 1024, "1.00 MiB"], [-(2 ** 30), "−1.00 GiB"], [2 ** 53, "8.00 PiB"]] as const) assert.equal(bytes(value), text);
  assert.equal(tick(4 * 2 ** 20), "4 MiB");
  assert.equal(tick(100 * 2 ** 20), "100 MiB");
  assert.equal(perHour(1024), "+1.00 KiB/h");
  assert.equal(perHour(-0.2), "0 B/h");
  assert.equal(percent(0), "0.0\u00a0%");
  assert.equal(percent(0.0001), "<0.1\u00a0%");
  assert.equal(percent(0.99999), ">99.9\u00a0%");
  assert.equal(percent(1), "100\u00a0%");
  assert.equal(percent(NaN), "–");
  assert.equal(duration(0), "0 s");
  assert.equal(duration(0.014), "14 ms");
  assert.equal(duration(1.5), "1.5 s");
  assert.equal(duration(200), "3 min 20 s");
  assert.equal(duration(3 * 3600 + 12 * 60 + 40), "3 h 13 min");
  assert.equal(duration(86400 * 2 + 3600 * 3.6), "2 d 4 h");
  assert.equal(duration(Infinity), "–");
  assert.equal(rough(1562), "26 min");
  assert.equal(elapsed(59.6), "1:00");
  assert.equal(elapsed(3723), "1:02:03");
});
