// Everything that grew in every single snapshot, from -> to.

import { badge, sparkline } from "./classes";
import { el, get } from "./dom";
import type { Report } from "./report";
import { base, legible, short } from "./text";
import { bytes, count, perHour } from "./units";
import { words } from "./words";

const AT_FIRST = 10;
/** Rows made at all: the table can list the rest. */
const MOST = 500;

/** `reveal` opens a stack in the table. */
export function drawAlerts(report: Report, reveal: (stack: number) => void) {
  const { alerts, snapshotCount } = report.data;
  const body = get("alerts-body");
  if (!alerts.length) {
    body.append(el("p", { class: "empty" },
      snapshotCount < 3 ? `${count(snapshotCount)} snapshot${snapshotCount === 1 ? " is" : "s are"} too few to say that anything keeps growing. Watch longer, or with a shorter interval.`
        : `No stack grew in every one of the ${count(snapshotCount)} snapshots.`));
    return;
  }
  const rows = alerts.slice(0, MOST).map(([stack, from, to], index) => {
    const place = report.titlePlace(stack);
    const where = place?.file ? `${base(place.file)}${place.line ? `:${place.line}` : ""}` : base(place?.module ?? "");
    const name = place ? short(place.function, 80) : "(no frames)";
    return el("tr", { class: index < AT_FIRST ? "" : "more" },
      el("td", {}, badge(report.class(stack))),
      el("td", { class: "name" }, el("button", { type: "button", class: "link", onclick: () => reveal(stack) }, el("code", {}, name)), " ", el("small", {}, where && legible(where, 60))),
      el("td", { class: "wide" }, sparkline(report.series(stack), report.class(stack), "live bytes over time")),
      el("td", { class: "number" }, `${bytes(from)} → `, el("b", {}, bytes(to))),
      el("td", { class: "number" }, perHour(report.growthPerHour[stack]!)));
  });
  const table = el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Class"), el("th", { scope: "col" }, words(report.data.mode).place), el("th", { scope: "col", class: "wide" }, "Live"), el("th", { scope: "col", class: "number" }, "From → to"), el("th", { scope: "col", class: "number" }, "Per hour"))),
    el("tbody", {}, ...rows));
  body.append(
    el("p", { class: "lead" }, `${count(alerts.length)} of ${count(report.stacks)} stacks grew in each of ${count(snapshotCount)} snapshots: the first sign of a leak, and of a cache that is still filling.`),
    table);
  if (rows.length > AT_FIRST) {
    table.classList.add("cut");
    const more = el("button", { type: "button", "aria-expanded": "false" }, `Show ${count(rows.length - AT_FIRST)} more`);
    more.addEventListener("click", () => {
      const open = table.classList.toggle("cut");
      more.setAttribute("aria-expanded", String(!open));
      more.textContent = open ? `Show ${count(rows.length - AT_FIRST)} more` : "Show fewer";
    });
    body.append(more);
  }
  if (alerts.length > MOST) body.append(el("p", { class: "note" }, `${count(alerts.length - MOST)} more are in the table below, under “only alerts”.`));
}
