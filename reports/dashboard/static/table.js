// Tables that a screen reader can walk through: caption, column heads, a head for each row.

import { breakable, el } from "./dom.js";

/**
 * Return a table. `columns` are {head, numeric}; each row's first cell is its head. A cell is a text or a node.
 */
export function table({ caption, columns, rows, hideCaption = false }) {
  const cells = columns.map((column) => el("th", { scope: "col", class: side(column) }, breakable(column.head)));
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      {},
      el("caption", { class: hideCaption ? "for-reader" : null }, caption),
      el("thead", {}, el("tr", {}, cells)),
      el(
        "tbody",
        {},
        rows.map((row) => tableRow(columns, row)),
      ),
    ),
  );
}

/** Return one row of a table's body. */
export function tableRow(columns, row) {
  const cells = row.map((cell, i) =>
    i === 0
      ? el("th", { scope: "row", class: side(columns[0]) }, typeof cell === "string" ? breakable(cell) : cell)
      : el("td", { class: side(columns[i]) }, cell),
  );
  return el("tr", {}, cells);
}

/** Return the class that aligns a column. */
export const side = (column) => (column.numeric ? "numeric" : (column.side ?? null));

/** Return a closed box that opens to what is in it. */
export function disclosure(summary, ...content) {
  return el("details", {}, el("summary", {}, summary), content);
}
