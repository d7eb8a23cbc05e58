// Kernels or operators of two contenders side by side: sortable, searchable.

import { absent, breakable, choice, el, uniqueId } from "../dom.js";
import { change, count, known, milliseconds, percent, significant } from "../format.js";
import { side } from "../table.js";
import { stepsPerBaselineStep } from "./ledger.js";

const MOST_ROWS = 200;

export const title = () => "Kernels";

export function render(run) {
  const profiled = run.analysis.contenders.filter((contender) => linesOf(contender).length);
  if (!profiled.length) return absent("No kernels: no contender has a profiled run that could be read.");
  const view = {
    sort: "first",
    descending: true,
    search: "",
    first: profiled[0].name,
    second: (profiled[1] ?? profiled[0]).name,
  };
  const place = el("div");
  const status = el("p", { role: "status", class: "aside" });
  const show = (changes) => {
    Object.assign(view, changes);
    drawTable(run, profiled, view, place, status, show);
  };
  const names = profiled.map(({ name }) => [name, name]);
  const searchId = uniqueId("search");
  const controls = el(
    "div",
    { class: "controls" },
    choice("First", names, view.first, (first) => show({ first })),
    choice("Second", names, view.second, (second) => show({ second })),
    el("span", { class: "choice" }, el("label", { for: searchId }, "Search"), searchField(searchId, show)),
  );
  show({});
  return el("div", {}, controls, status, place);
}

function searchField(id, show) {
  const field = el("input", { id, type: "search", placeholder: "name or category" });
  field.addEventListener("input", () => show({ search: field.value }));
  return field;
}

/** Return a contender's kernels: all of the ledger's, or the longest of the profile where there is no ledger. */
function linesOf(contender) {
  return contender.ledger?.kernels ?? contender.profile?.kernels ?? [];
}

/** Return a row for each name that either contender has, in milliseconds per step of the baseline's size. */
function merged(run, first, second) {
  const rows = new Map();
  for (const [key, contender] of [
    ["first", first],
    ["second", second],
  ]) {
    const scale = contender.ledger ? stepsPerBaselineStep(contender.ledger, run.analysis.contenders[0].ledger) : 1;
    for (const line of linesOf(contender)) {
      const id = `${line.category ?? ""}\n${line.name}`;
      const row = rows.get(id) ?? { name: line.name, category: run.category_words[line.category] ?? "not told apart" };
      row[key] = line.time_ms_per_step * scale;
      row[`${key}Calls`] = line.calls_per_step * scale;
      row[`${key}Share`] = line.share;
      rows.set(id, row);
    }
  }
  const complete = known(first.ledger) && known(second.ledger);
  for (const row of rows.values()) row.difference = difference(row, complete);
  return [...rows.values()];
}

/** What one side does not have took no time there only if all its kernels are known. */
function difference(row, complete) {
  if (!complete && !(known(row.first) && known(row.second))) return null;
  return (row.second ?? 0) - (row.first ?? 0);
}

function columnsOf(first, second) {
  const cell = (print) => (value) => (known(value) ? print(value) : "–");
  const of = (key, name) => [
    { key, head: name, unit: "ms per step", print: cell(milliseconds), numeric: true },
    { key: `${key}Share`, head: name, unit: "share", print: cell(percent), numeric: true },
    { key: `${key}Calls`, head: name, unit: "calls per step", print: cell(significant), numeric: true },
  ];
  const alone = [
    { key: "name", head: "Name" },
    { key: "category", head: "Category", print: String },
    ...of("first", first),
  ];
  if (first === second) return alone;
  return [
    ...alone,
    ...of("second", second),
    { key: "difference", head: "Difference", unit: "ms per step", print: cell(change), numeric: true },
  ];
}

function drawTable(run, profiled, view, place, status, show) {
  const [first, second] = [view.first, view.second].map((name) =>
    profiled.find((contender) => contender.name === name),
  );
  const columns = columnsOf(first.name, second.name);
  const sorting = columns.some((column) => column.key === view.sort) ? view.sort : "first";
  const found = merged(run, first, second)
    .filter((row) => matches(row, view.search))
    .sort(order(sorting, view.descending));
  const shown = found.slice(0, MOST_ROWS);
  const what = (first.ledger ?? first.profile).time_kind === "device" ? "kernels" : "operators";
  const cut = found.length > shown.length ? `, the first ${MOST_ROWS} shown` : "";
  status.textContent = `${count(found.length)} ${what}${cut}. Self time as the profiler saw it. ${basis([first, second])}`;
  place.replaceChildren(kernelTable(columns, shown, { sorting, descending: view.descending, show }));
}

/** Say what a step is here, and whose kernels are not all known. */
function basis(contenders) {
  const names = [...new Set(contenders.filter((contender) => !known(contender.ledger)).map(({ name }) => name))];
  if (!names.length) return "A step has the baseline’s size.";
  return `Of ${names.join(" and ")} only the longest are known, because there is no ledger, and a step has its own size.`;
}

function matches(row, search) {
  const text = `${row.name} ${row.category}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function order(key, descending) {
  const sign = descending ? -1 : 1;
  return (a, b) => {
    if (typeof (a[key] ?? b[key]) === "string") return sign * String(a[key]).localeCompare(String(b[key]));
    if (known(a[key]) !== known(b[key])) return known(a[key]) ? -1 : 1;
    return sign * ((a[key] ?? 0) - (b[key] ?? 0)) || a.name.localeCompare(b.name);
  };
}

function kernelTable(columns, rows, { sorting, descending, show }) {
  const heads = columns.map((column) => {
    const now = column.key === sorting;
    const onclick = () => {
      show({ sort: column.key, descending: now ? !descending : Boolean(column.numeric) });
      document.querySelector(`[data-sort="${column.key}"]`)?.focus();
    };
    const sort = now ? (descending ? "descending" : "ascending") : null;
    const button = el(
      "button",
      { type: "button", class: "sort", "data-sort": column.key, onclick },
      breakable(column.head),
      column.unit ? el("small", {}, column.unit) : null,
    );
    return el("th", { scope: "col", class: side(column), "aria-sort": sort }, button);
  });
  const body = rows.map((row) =>
    el(
      "tr",
      {},
      columns.map((column, i) =>
        el(
          i ? "td" : "th",
          { scope: i ? null : "row", class: i ? side(column) : "kernel" },
          i ? column.print(row[column.key]) : breakable(row.name),
        ),
      ),
    ),
  );
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "kernels" },
      el("caption", { class: "for-reader" }, "Time per profiled step by kernel or operator"),
      el("thead", {}, el("tr", {}, heads)),
      el("tbody", {}, body),
    ),
  );
}
