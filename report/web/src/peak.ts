// Who held the memory at the moment of the most.

import { glyph } from "./classes";
import { el, get } from "./dom";
import type { Report } from "./report";
import { base, legible, short } from "./text";
import { bytes, count, elapsed, percent } from "./units";
import { heaviest } from "./weights";

const TOP = 10;

export function drawPeak(report: Report, reveal: (stack: number) => void) {
  const body = get("peak-body");
  const step = report.peakStep;
  const total = report.steps ? report.data.total[step]! : 0;
  if (!total) {
    body.append(el("p", { class: "empty" }, "Nothing was live at any snapshot."));
    return;
  }
  const values = Float64Array.from({ length: report.stacks }, (_, stack) => report.live(stack, step));
  const top = heaviest(values, TOP);
  const holders = values.reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0);
  const rest = top.reduce((sum, stack) => sum - values[stack]!, total);
  const bar = (share: number, name: string) => {
    const fill = el("i", { class: name });
    fill.style.inlineSize = `${Math.max(0.2, share * 100)}%`;
    return el("span", { class: "bar", "aria-hidden": "true" }, fill);
  };
  body.append(
    el("p", { class: "lead" }, `${bytes(total)} at ${elapsed(report.seconds[step]!)}${step === report.steps - 1 ? ", the last snapshot" : ""}, held by ${count(holders)} stack${holders === 1 ? "" : "s"}.`),
    el("ol", { class: "shares" },
      ...top.map((stack) => {
        const place = report.titlePlace(stack);
        const where = place?.file ? `${base(place.file)}${place.line ? `:${place.line}` : ""}` : base(place?.module ?? "");
        return el("li", {},
          el("b", {}, percent(values[stack]! / total)), bar(values[stack]! / total, report.class(stack) ?? "Inconclusive"), el("span", { class: "value" }, bytes(values[stack]!)),
          el("span", { class: "name" }, glyph(report.class(stack)), el("button", { type: "button", class: "link", onclick: () => reveal(stack) }, el("code", {}, place ? short(place.function, 80) : "(no frames)")), " ", el("small", {}, where && legible(where, 60))));
      }),
      ...(rest > 0 ? [el("li", { class: "rest" }, el("b", {}, percent(rest / total)), bar(rest / total, "rest"), el("span", { class: "value" }, bytes(rest)), el("span", { class: "name" }, `everything else (${count(Math.max(0, holders - top.length))} stack${holders - top.length === 1 ? "" : "s"})`))] : [])),
  );
}
