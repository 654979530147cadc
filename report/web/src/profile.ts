// A heap profile in pprof's format (google/pprof, proto/profile.proto), made in the page; report/src/pprof.rs makes the one
// with addresses and build ids.

import type { Report } from "./report";

/** A message of Protocol Buffers while it is written. */
class Message {
  readonly bytes: number[] = [];

  varint(value: number) {
    let small = Math.round(value);
    if (small >= 0 && small <= Number.MAX_SAFE_INTEGER) {
      for (; small > 127; small = Math.floor(small / 128)) this.bytes.push((small % 128) | 128);
      this.bytes.push(small);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(small)); // below 0 it is as two's complement
    for (; rest > 127n; rest >>= 7n) this.bytes.push(Number(rest & 127n) | 128);
    this.bytes.push(Number(rest));
  }

  /** An integer field; 0 is what an absent one means. */
  int(field: number, value: number) {
    if (!value) return;
    this.varint(field << 3);
    this.varint(value);
  }

  part(field: number, bytes: ArrayLike<number>) {
    this.varint((field << 3) | 2);
    this.varint(bytes.length);
    for (let i = 0; i < bytes.length; i++) this.bytes.push(bytes[i]!);
  }

  /** Integers one after the other. */
  packed(field: number, values: readonly number[]) {
    const inner = new Message();
    for (const value of values) inner.varint(value);
    this.part(field, inner.bytes);
  }

  message(field: number, fill: (inner: Message) => void) {
    const inner = new Message();
    fill(inner);
    this.part(field, inner.bytes);
  }
}

/** Every string once; the first is empty, as the format wants it. */
class Strings {
  private readonly numbers = new Map<string, number>([["", 0]]);

  of(text: string): number {
    const known = this.numbers.get(text);
    if (known !== undefined) return known;
    this.numbers.set(text, this.numbers.size);
    return this.numbers.size - 1;
  }

  all(): IterableIterator<string> {
    return this.numbers.keys();
  }
}

/**
 * The profile of `stacks`, not compressed. `growth` is the change of each stack's live bytes in the stretch looked at, and
 * `shown` the sample type that a reader begins with.
 */
export function profile(report: Report, stacks: Iterable<number>, growth: Float64Array, shown: string): Uint8Array {
  const { data } = report;
  const [out, strings] = [new Message(), new Strings()];
  const types: [string, string, (stack: number) => number][] = [
    ...(data.source === "leakhound" ? [
      ["alloc_objects", "count", (stack: number) => data.allocatedCount[stack]!],
      ["alloc_space", "bytes", (stack: number) => data.allocatedBytes[stack]!],
    ] as [string, string, (stack: number) => number][] : []),
    ["inuse_objects", "count", (stack) => data.liveCount[stack]!],
    ["inuse_space", "bytes", (stack) => report.lastLive(stack)],
    ["growth_space", "bytes", (stack) => growth[stack]!],
  ];
  for (const [name, unit] of types) out.message(1, (type) => { type.int(1, strings.of(name)); type.int(2, strings.of(unit)); });

  const locations = new Map<string, number>();
  for (const stack of stacks) {
    const ids: number[] = [];
    let inlined: number[] = [];
    const places = report.places(stack);
    places.forEach((place, at) => {
      inlined.push(place);
      // What is inlined shares the location of the frame that it is in.
      if ((data.placeKind[place]! & 1) === 1 && at < places.length - 1) return;
      const key = inlined.join(".");
      const id = locations.get(key) ?? locations.size + 1;
      locations.set(key, id);
      ids.push(id);
      inlined = [];
    });
    out.message(2, (sample) => { sample.packed(1, ids); sample.packed(2, types.map(([, , value]) => value(stack))); });
  }
  data.modules.forEach((path, at) => out.message(3, (mapping) => {
    mapping.int(1, at + 1);
    mapping.int(5, strings.of(path));
    for (const has of [7, 8, 9, 10]) mapping.int(has, 1); // names are in the profile: nobody need look them up
  }));
  const functions = new Map<string, { id: number; name: number; file: number }>();
  for (const [key, id] of locations) {
    const places = key.split(".").map(Number);
    out.message(4, (location) => {
      location.int(1, id);
      location.int(2, data.placeModule[places.at(-1)!]!);
      for (const index of places) {
        const place = report.place(index);
        const [name, file] = [strings.of(place.function), strings.of(place.file ?? "")];
        const known = functions.get(`${name} ${file}`) ?? { id: functions.size + 1, name, file };
        functions.set(`${name} ${file}`, known);
        location.message(4, (line) => { line.int(1, known.id); line.int(2, place.line); });
      }
    });
  }
  for (const { id, name, file } of functions.values()) out.message(5, (of) => { of.int(1, id); of.int(2, name); of.int(3, name); of.int(4, file); });
  const [space, bytes, begin] = [strings.of("space"), strings.of("bytes"), strings.of(shown)];
  const comment = strings.of("From a Leakhound report, as filtered there; growth_space is that of the stretch looked at.");
  const utf8 = new TextEncoder();
  for (const text of strings.all()) out.part(6, utf8.encode(text));
  out.int(9, (data.startedUnixMs ?? 0) * 1e6);
  out.int(10, data.durationSeconds * 1e9);
  out.message(11, (period) => { period.int(1, space); period.int(2, bytes); });
  out.int(12, Math.max(1, data.settings.samplePeriodBytes));
  out.packed(13, [comment]);
  out.int(14, begin);
  return Uint8Array.from(out.bytes);
}
