// One-key ways around the page, and the sheet that lists them.

import { el, get } from "./dom";

const KEYS: [string, string][] = [
  ["/", "search; Enter goes on to the table, Esc clears"], ["t", "table of stacks"], ["f", "flame graph"], ["g", "timeline"], ["?", "this sheet"],
  ["↑ ↓", "table: next stack; flame graph: caller and callee"], ["Enter", "table: open; flame graph: zoom"], ["← →", "table: close, open; flame graph: neighbour; timeline: moment"],
  ["1 … 9", "table: sort by that column"], ["Shift ← →", "timeline: select a stretch"], ["Esc", "flame graph: zoom out; timeline: clear the stretch"], ["s", "flame graph: callers and callees"],
];
const SEARCH: [string, string][] = [
  ["session cache", "both words, anywhere in the stack"], ["-test", "stacks without it"], ["/^ngx_(http|mail)/", "regular expression"], ["file:pool.c  module:libssl  fn:read", "only there"], ["class:leak", "stacks of a class"],
];

/** `jump` is called with the key of a place to go. */
export function setUpKeys(jump: Record<string, () => void>) {
  const dialog = get<HTMLDialogElement>("help");
  const sheet = (rows: [string, string][]) => el("dl", { class: "keys" }, ...rows.map(([key, what]) => el("div", {}, el("dt", {}, el("kbd", {}, key)), el("dd", {}, what))));
  dialog.append(el("h2", { id: "help-title" }, "Keyboard"), sheet(KEYS), el("h2", {}, "Search"), sheet(SEARCH), el("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Close"));
  const open = () => !dialog.open && dialog.showModal();
  get("help-open").addEventListener("click", open);
  addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.altKey || event.ctrlKey || event.metaKey || dialog.open || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    const go = event.key === "?" ? open : jump[event.key];
    if (!go || !(event.key === "?" || Object.hasOwn(jump, event.key))) return;
    event.preventDefault();
    go();
  });
}
