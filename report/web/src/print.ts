// Paper shows what a screen would have to scroll: the table as it is filtered and sorted, the heaviest stacks in full.

import { el, get } from "./dom";
import { asText } from "./detail";
import type { Report } from "./report";
import { short } from "./text";
import { bytes, count, perHour, signed } from "./units";
import type { View } from "./view";
import { weigh, WEIGHTS, whole } from "./weights";
import { words } from "./words";

const ROWS = 200;
const IN_FULL = 10;

/** `order` gives the stacks as the table lists them, `redraw` paints canvases in the colours and width of now. */
export function preparePrint(report: Report, view: View, order: () => Uint32Array, redraw: () => void) {
  const printed = el("div", { class: "printed" });
  const root = document.documentElement;
  addEventListener("beforeprint", () => {
    root.dataset.print = "";
    const stacks = Array.from(order().subarray(0, ROWS));
    const growth = weigh(report, "growth", view.state.stretch ?? whole(report));
    const row = (stack: number) => el("tr", {},
      el("td", { class: "number" }, count(stack + 1)), el("td", {}, report.class(stack) ?? "–"),
      el("td", { class: "name" }, el("code", {}, ((place) => (place ? `${short(place.function, 110)}${place.file ? `  ${place.file.split("/").pop()}:${place.line}` : ""}` : "(no frames)"))(report.titlePlace(stack)))),
      ...[signed(growth[stack]!), perHour(report.growthPerHour[stack]!), bytes(report.lastLive(stack)), count(report.data.liveCount[stack]!)].map((value) => el("td", { class: "number" }, value)));
    const more = order().length - stacks.length;
    const full = stacks.slice(0, IN_FULL);
    for (const stack of view.state.open) if (!full.includes(stack)) full.push(stack);
    printed.replaceChildren(
      el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ...["#", "Class", words(report.data.mode).place, "Growth", "Per hour", "Live", WEIGHTS.count.label].map((title, i) => el("th", { scope: "col", class: i > 2 || !i ? "number" : "" }, title)))), el("tbody", {}, ...stacks.map(row))),
      ...(more > 0 ? [el("p", { class: "note" }, `${count(more)} more stacks are in the file and not on paper: search or filter, then print again.`)] : []),
      ...(full.length ? [el("h3", {}, "The first stacks in full"), ...full.map((stack) => el("pre", {}, asText(report, stack)))] : []));
    get("stacks-body").append(printed);
    for (const details of document.querySelectorAll("details")) details.open = true;
    redraw();
  });
  addEventListener("afterprint", () => {
    delete root.dataset.print;
    printed.remove();
    redraw();
  });
}
