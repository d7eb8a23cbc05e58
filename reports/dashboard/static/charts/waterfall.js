// From one total to another, a bar for each thing that adds or saves.

import { svg } from "../dom.js";
import { ROOM_BELOW, axisBelow, nameLeft, roomForNames } from "./figure.js";
import { linear } from "./scale.js";

const ROW = 27;
const BAR = 17;
const ROOM_FOR_VALUES = 96;

/**
 * Return what to draw into a figure. `from` and `to` are {text, value}, `bars` are {text, value} between them, in order;
 * `print` makes a total's text, `printChange` a bar's.
 */
export function waterfall({ from, to, bars, axis, print, printChange }) {
  const rows = [{ ...from, start: 0, end: from.value, kind: "total", label: print(from.value) }];
  let level = from.value;
  for (const bar of bars) {
    const kind = bar.value < 0 ? "saved" : "added";
    rows.push({ ...bar, start: level, end: level + bar.value, kind, label: printChange(bar.value) });
    level += bar.value;
  }
  rows.push({ ...to, start: 0, end: to.value, kind: "total", label: print(to.value) });
  return (width) => drawRows(rows, axis, width);
}

function drawRows(rows, axis, width) {
  const left = roomForNames(
    rows.map((row) => row.text),
    width,
  );
  const right = width - ROOM_FOR_VALUES;
  const bottom = rows.length * ROW + 6;
  const levels = rows.flatMap((row) => [row.start, row.end]);
  const x = linear(
    [Math.min(0, ...levels), Math.max(...levels) || 1],
    [left, right],
    Math.max(2, Math.floor(width / 130)),
  );
  const drawn = rows.map((row, i) => {
    const y = i * ROW + ROW / 2 + 2;
    const [a, b] = [Math.min(x(row.start), x(row.end)), Math.max(x(row.start), x(row.end))];
    const next =
      i + 1 < rows.length ? svg("line", { x1: x(row.end), x2: x(row.end), y1: y, y2: y + ROW, class: "link" }) : null;
    return svg(
      "g",
      {},
      next,
      nameLeft(row.text, left, y),
      svg("rect", { x: a, y: y - BAR / 2, width: Math.max(1, b - a), height: BAR, class: `change ${row.kind}` }),
      svg("text", { x: b + 7, y: y + 4, class: "value" }, row.label),
    );
  });
  return { height: bottom + ROOM_BELOW, content: [axisBelow(x, { top: 4, bottom, left, right, name: axis }), drawn] };
}
