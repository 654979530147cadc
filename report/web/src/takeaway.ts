// Take it away: the stacks as they are filtered and sorted, in the forms that other tools read. Made in the page, asked of nobody.

import { announce, el, get } from "./dom";
import { csv, folded } from "./exports";
import { profile } from "./profile";
import type { Report } from "./report";
import { count } from "./units";
import { subject } from "./verdict";
import type { View } from "./view";
import { weigh, WEIGHTS, whole, type Weight } from "./weights";

/** What pprof calls each weight. */
const SAMPLE_TYPES: Record<Weight, string> = { growth: "growth_space", live: "inuse_space", allocated: "alloc_space", count: "inuse_objects" };

/** Adds the buttons below the search line; `order` gives the stacks as the table lists them. */
export function drawTakeaway(report: Report, view: View, order: () => Uint32Array) {
  const weights = (weight: Weight) => weigh(report, weight, view.state.stretch ?? whole(report));
  const forms: { label: string; title: () => string; end: string; type: string; make: () => BlobPart | Promise<BlobPart> }[] = [
    { label: "CSV", title: () => "the table, for a spreadsheet", end: "csv", type: "text/csv", make: () => csv(report, order(), weights("growth")) },
    { label: "Folded", title: () => `folded stacks weighing ${WEIGHTS[view.state.weight].what}, for flame-graph tools`, end: "folded", type: "text/plain", make: () => folded(report, order(), weights(view.state.weight)) },
    { label: "pprof", title: () => "a profile, for go tool pprof", end: "pb.gz", type: "application/gzip", make: () => gzip(profile(report, order(), weights("growth"), SAMPLE_TYPES[view.state.weight])) },
  ];
  const say = el("output", { class: "note" });
  const buttons = forms.map(({ label, title, end, type, make }) => {
    const button = el("button", { type: "button", "data-take": end }, label);
    button.addEventListener("pointerenter", () => (button.title = title()));
    button.addEventListener("click", async () => {
      const name = `leakhound-${subject(report).replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "").toLowerCase() || "report"}.${end}`;
      const blob = new Blob([await make()], { type });
      save(blob, name);
      say.textContent = `${name}: ${count(order().length)} stack${order().length === 1 ? "" : "s"}${blob.size ? "" : ", none of which weighs anything"}`;
      announce(`Saved ${name}`);
    });
    return button;
  });
  get("found").after(el("div", { class: "takeaway", role: "group", "aria-label": "Take these stacks away" }, say, el("span", {}, "Take these away:"), ...buttons));
}

function save(blob: Blob, name: string) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  link.click();
  // The browser has begun reading by the next turn of its loop, and a minute is ample for the rest.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function gzip(bytes: Uint8Array): Promise<ArrayBuffer> {
  return new Response(new Blob([bytes as BlobPart]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
}
