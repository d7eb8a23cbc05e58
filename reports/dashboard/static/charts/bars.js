// Stacked bars, one for each contender.

import { svg } from "../dom.js";
import { ROOM_BELOW, axisBelow, colour, nameLeft, roomForNames } from "./figure.js";
import { linear } from "./scale.js";

const ROW = 34;
const BAR = 22;
const ROOM_FOR_TOTALS = 92;

/**
 * Return what to draw into a figure. `rows` are {name, segments: [{text, series, value}], total, mark}; `mark` is a value at
 * which a line stands across the bar; `print` makes a value's text.
 */
export function stackedBars({ rows, axis, print }) {
  return (width) => {
    const left = roomForNames(
      rows.map((row) => row.name),
      width,
    );
    const right = width - ROOM_FOR_TOTALS;
    const bottom = rows.length * ROW + 6;
    const longest = Math.max(...rows.map((row) => Math.max(sum(row.segments), row.mark ?? 0)));
    const x = linear([0, longest || 1], [left, right], Math.max(2, Math.floor(width / 130)));
    const bars = rows.map((row, i) => bar(row, x, i * ROW + ROW / 2, left, print));
    return { height: bottom + ROOM_BELOW, content: [axisBelow(x, { top: 4, bottom, left, right, name: axis }), bars] };
  };
}

function bar(row, x, y, left, print) {
  let end = 0;
  const pieces = row.segments.map((segment) => {
    const start = end;
    end += segment.value;
    return svg(
      "rect",
      {
        x: x(start),
        y: y - BAR / 2,
        width: Math.max(0, x(end) - x(start)),
        height: BAR,
        class: `${segment.series === "residual" ? "residual" : "area"} ${colour(segment.series)}`,
      },
      svg("title", {}, `${row.name}, ${segment.text}: ${print(segment.value)}`),
    );
  });
  const mark = row.mark ?? null;
  const reach = Math.max(x(end), mark === null ? 0 : x(mark));
  return svg(
    "g",
    {},
    nameLeft(row.name, left, y),
    pieces,
    mark === null
      ? null
      : svg("line", { x1: x(mark), x2: x(mark), y1: y - ROW / 2 + 2, y2: y + ROW / 2 - 2, class: "mark" }),
    svg("text", { x: reach + 8, y: y + 4 }, print(row.total)),
  );
}

const sum = (segments) => segments.reduce((total, segment) => total + segment.value, 0);
