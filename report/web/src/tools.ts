// The line above table and flame graph: what to look for, and what a stack weighs.

import { CLASSES, glyph } from "./classes";
import type { ClassName } from "./decode";
import { el, get } from "./dom";
import type { Filtered } from "./filter";
import type { Report } from "./report";
import { base, legible } from "./text";
import { count, elapsed } from "./units";
import type { View } from "./view";
import { WEIGHTS, type Weight } from "./weights";

/** Returns what shows the outcome of a filter. */
export function drawTools(report: Report, view: View): (filtered: Filtered) => void {
  const search = el("input", { id: "search", type: "search", placeholder: "Search function, file or module", autocomplete: "off", autocapitalize: "off", spellcheck: "false", "aria-label": "Search function, file or module", "aria-describedby": "found", "aria-keyshortcuts": "/" });
  search.value = view.state.query;
  let typed = 0;
  search.addEventListener("input", () => {
    clearTimeout(typed);
    typed = window.setTimeout(() => view.set({ query: search.value }), 60);
  });
  const found = el("output", { id: "found", for: "search" });

  const weights = el("div", { class: "segments", role: "group", "aria-label": "A stack weighs its" }, ...(Object.keys(WEIGHTS) as Weight[]).map((weight) =>
    el("button", { type: "button", "data-weight": weight, title: WEIGHTS[weight].what, onclick: () => view.set({ weight, sort: weight, descending: true }) }, WEIGHTS[weight].label)));

  const classes = new Map<ClassName, number>();
  const modules = new Map<string, number>();
  for (let stack = 0; stack < report.stacks; stack++) {
    const name = report.class(stack);
    if (name) classes.set(name, (classes.get(name) ?? 0) + 1);
    const module = report.titlePlace(stack)?.module;
    if (module) modules.set(module, (modules.get(module) ?? 0) + 1);
  }
  const chips = el("div", { class: "chips", role: "group", "aria-label": "Show only" });
  if (report.data.alerts.length) {
    chips.append(el("button", { type: "button", "data-alerts": "1", onclick: () => view.set({ alertsOnly: !view.state.alertsOnly }) }, "Only alerts ", el("small", {}, count(report.data.alerts.length))));
  }
  for (const name of report.data.classes) {
    const of = classes.get(name);
    if (!of) continue;
    const toggle = () => {
      const { classes: on } = view.state;
      view.set({ classes: on.includes(name) ? on.filter((other) => other !== name) : [...on, name] });
    };
    chips.append(el("button", { type: "button", "data-class": name, title: CLASSES[name].what, onclick: toggle }, glyph(name), name, " ", el("small", {}, count(of))));
  }
  const startUp: ClassName[] = ["Plateau", "Transient"];
  const others = report.data.classes.filter((name) => classes.has(name) && !startUp.includes(name));
  if (others.length && startUp.some((name) => classes.has(name))) {
    chips.append(el("button", { type: "button", "data-settled": "1", title: "leaves out what settled or went: start-up, working set, passing work", onclick: () => view.set({ classes: same(view.state.classes, others) ? [] : others }) }, "Hide settled"));
  }
  if (modules.size > 1) {
    const select = el("select", { "aria-label": "Module of the first frame of the program" }, el("option", { value: "" }, "Any module"), ...[...modules].sort((a, b) => b[1] - a[1]).slice(0, 100).map(([path, of]) => {
      const option = el("option", {}, `${legible(base(path), 40)} (${count(of)})`);
      option.value = path;
      return option;
    }));
    select.value = view.state.module;
    select.addEventListener("change", () => view.set({ module: select.value }));
    view.on(["module"], () => (select.value = view.state.module));
    chips.append(select);
  }

  get("tools").append(el("div", { class: "line" }, search, weights), chips, el("div", { class: "outcome" }, found));

  const press = () => {
    for (const button of [...weights.children, ...chips.querySelectorAll("button")] as HTMLElement[]) {
      const { weight, alerts, class: name, settled } = button.dataset;
      const on = weight ? view.state.weight === weight : alerts ? view.state.alertsOnly : settled ? same(view.state.classes, others) : view.state.classes.includes(name as ClassName);
      button.setAttribute("aria-pressed", String(on));
    }
  };
  press();
  view.on(["weight", "alertsOnly", "classes"], press);
  view.on(["query"], () => {
    if (search.value !== view.state.query) search.value = view.state.query;
  });

  return (filtered) => {
    const { stretch } = view.state;
    const window = stretch ? `, from ${elapsed(report.seconds[stretch[0]]!)} to ${elapsed(report.seconds[stretch[1]]!)}` : "";
    found.textContent = filtered.problem ? `Not a regular expression: ${filtered.problem}` : `${count(filtered.count)} of ${count(report.stacks)} stacks${window}`;
    found.classList.toggle("wrong", filtered.problem !== undefined);
  };
}

const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((name) => b.includes(name));
