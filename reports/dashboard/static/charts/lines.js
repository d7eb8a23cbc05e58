// Lines over time.

import { svg } from "../dom.js";
import { known } from "../format.js";
import { ROOM_BELOW, axisBelow, axisLeft, colour, dashes } from "./figure.js";
import { linear } from "./scale.js";

const LEFT = 52;
const RIGHT = 14;
const TOP = 10;

/**
 * Return what to draw into a figure. `series` are {text, series, points: [[x, y]], marked, faint}; a y that is null breaks the
 * line; `shade` is a list of [from, to] on the x axis; the y axis begins at 0.
 */
export function lines({ series, axis, shade, range, height = 220 }) {
  const all = series.flatMap((line) => line.points).filter(([, y]) => known(y));
  const [from, to] = range ?? extent(all.map(([x]) => x));
  const highest = Math.max(0, ...all.map(([, y]) => y));
  return (width) => {
    const bottom = height - ROOM_BELOW;
    const right = width - RIGHT;
    const x = linear([from, to], [LEFT, right], Math.max(2, Math.floor(width / 110)));
    const y = linear([0, highest * 1.08 || 1], [bottom, TOP], Math.max(2, Math.floor(height / 45)));
    const bands = (shade ?? []).map((band) => shadedBand(band, x, bottom));
    const axes = [
      axisLeft(y, { left: LEFT, right }),
      axisBelow(x, { top: TOP, bottom, left: LEFT, right, name: axis }),
    ];
    return { height, content: [bands, axes, series.map((line) => drawLine(line, x, y))] };
  };
}

function extent(values) {
  return values.length ? [Math.min(0, ...values), Math.max(...values)] : [0, 1];
}

function shadedBand([begin, end], x, bottom) {
  return svg("rect", {
    x: x(begin),
    y: TOP,
    width: Math.max(0, x(end) - x(begin)),
    height: bottom - TOP,
    class: "shade",
  });
}

function drawLine(line, x, y) {
  const path = pathOf(line.points, x, y);
  const classes = `${colour(line.series)}${line.faint ? " faint" : ""}`;
  const points = line.marked ? line.points.filter(([, value]) => known(value)) : [];
  return svg(
    "g",
    { class: classes },
    svg("path", { d: path, class: "line", "stroke-dasharray": dashes(line.series) }, svg("title", {}, line.text)),
    points.map(([at, value]) =>
      svg(
        "circle",
        { cx: x(at), cy: y(value), r: 3.5, class: "point" },
        svg("title", {}, `${line.text}: ${value.toFixed(2)}`),
      ),
    ),
  );
}

/** Return the path through the points; a missing value lifts the pen. */
function pathOf(points, x, y) {
  let pen = "M";
  const parts = [];
  for (const [at, value] of points) {
    if (!known(value)) {
      pen = "M";
      continue;
    }
    parts.push(`${pen}${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
    pen = "L";
  }
  return parts.join("");
}
