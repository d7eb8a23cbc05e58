// A speedup as a dot with the whisker of its interval, small enough for a cell of a table.

import { svg } from "../dom.js";
import { known, speedup } from "../format.js";
import { linear, tickText } from "./scale.js";

const WIDTH = 190;
const HEIGHT = 38;
const EDGE = 12;

/** Return the scale that all rows share: it holds 1× and every end of an interval. */
export function sharedScale(estimates) {
  const values = estimates
    .filter(known)
    .flatMap((e) => [e.estimate, e.low, e.high])
    .filter(known);
  const low = Math.min(1, ...values);
  const high = Math.max(1, ...values);
  const margin = 0.06 * (high - low) || 0.1;
  return linear([Math.max(0, low - margin), high + margin], [EDGE, WIDTH - EDGE], 4);
}

/** Return job (dot) and step (square) of one contender; `floor` is the share that noise alone makes a step differ. */
export function whiskers({ job, step, floor, scale, name }) {
  const label = `${name}: job speedup ${speedup(job)}, step speedup ${speedup(step)}`;
  return svg(
    "svg",
    { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    svg("title", {}, label),
    known(floor) ? noiseBand(scale, floor) : null,
    svg("line", { x1: scale(1), x2: scale(1), y1: 0, y2: HEIGHT, class: "one" }),
    known(job) ? whisker(job, scale, 12, "series-0", "dot") : null,
    known(step) ? whisker(step, scale, 27, "series-1", "square") : null,
  );
}

function noiseBand(scale, floor) {
  const x = scale(Math.max(0, 1 - floor));
  return svg("rect", { x, y: 0, width: scale(1 + floor) - x, height: HEIGHT, class: "noise" });
}

function whisker(estimate, scale, y, colour, shape) {
  const at = scale(estimate.estimate);
  const hasEnds = known(estimate.low) && known(estimate.high);
  const mark =
    shape === "dot"
      ? svg("circle", { cx: at, cy: y, r: 4.5, class: "area" })
      : svg("rect", { x: at - 4, y: y - 4, width: 8, height: 8, class: "area" });
  const line = hasEnds
    ? svg("line", { x1: scale(estimate.low), x2: scale(estimate.high), y1: y, y2: y, class: "whisker" })
    : null;
  return svg("g", { class: colour }, line, mark);
}

/** Return the axis that stands once below all rows. */
export function whiskerAxis(scale) {
  const texts = scale.ticks.map((tick) => [
    svg("line", { x1: scale(tick), x2: scale(tick), y1: 0, y2: 4, class: "grid" }),
    svg("text", { x: scale(tick), y: 16, "text-anchor": "middle" }, `${tickText(tick, scale.ticks)}×`),
  ]);
  return svg("svg", { width: WIDTH, height: 20, class: "axis", "aria-hidden": "true" }, texts);
}
