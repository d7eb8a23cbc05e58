// What all charts have in common: size, role, legend, axes, and the numbers as a table below.

import { el, svg } from "../dom.js";
import { disclosure } from "../table.js";
import { tickText } from "./scale.js";

export const ROOM_BELOW = 40;
/** Pixels below the plot, for ticks and the axis' name. */

/**
 * Return a figure. `draw` gets the width in pixels and returns {height, content}; `label` says in a sentence what a
 * reader of the screen does not see; `numbers` is the table that holds the same.
 */
export function figure({ title, label, legend, draw, numbers }) {
  return el(
    "figure",
    {},
    el("figcaption", {}, title),
    legend ?? null,
    responsive((width) => {
      const { height, content } = draw(width);
      return svg(
        "svg",
        { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
        content,
      );
    }),
    numbers ? disclosure("The numbers", numbers) : null,
  );
}

/** Return a box that is drawn again whenever its width changes. */
function responsive(draw) {
  const holder = el("div", { class: "chart" });
  let drawn = 0;
  const observer = new ResizeObserver((entries) => {
    const width = Math.floor(entries[entries.length - 1].contentRect.width);
    if (width <= 0 || width === drawn) return;
    drawn = width;
    // Not now: changing the height while sizes are being reported is an error in the console.
    requestAnimationFrame(() => holder.replaceChildren(draw(width)));
  });
  observer.observe(holder);
  return holder;
}

/** Return the list of what the colours mean; items are {text, series, mark}. */
export function legend(items) {
  return el(
    "ul",
    { class: "legend" },
    items.map((item) => el("li", {}, swatch(item), item.text)),
  );
}

function swatch({ series, line }) {
  const shape = line
    ? svg("line", { x1: 0, y1: 6, x2: 22, y2: 6, class: "line", "stroke-dasharray": dashes(series) })
    : svg("rect", { width: 22, height: 12, class: series === "residual" ? "residual" : "area" });
  return svg("svg", { width: 22, height: 12, class: colour(series), "aria-hidden": "true" }, shape);
}

/** Return the class that gives a series its colour. */
export const colour = (series) => (typeof series === "number" ? `series-${series % 8}` : `series-${series}`);

const DASHES = [null, "7 3", "2 3", "9 3 2 3"];

/** Return how a line is broken, so that more than its colour tells it from the others. */
export const dashes = (series) => (typeof series === "number" ? DASHES[series % DASHES.length] : null);

/** Return the axis below a plot, with lines through it. */
export function axisBelow(scale, { top, bottom, left, right, name }) {
  const marks = scale.ticks.map((tick) => [
    svg("line", { x1: scale(tick), x2: scale(tick), y1: top, y2: bottom, class: "grid" }),
    svg("text", { x: scale(tick), y: bottom + 15, "text-anchor": "middle" }, tickText(tick, scale.ticks)),
  ]);
  const middle = (left + right) / 2;
  return svg("g", { class: "axis" }, marks, svg("text", { x: middle, y: bottom + 33, "text-anchor": "middle" }, name));
}

/** Return the axis to the left of a plot, with lines through it. */
export function axisLeft(scale, { left, right }) {
  const marks = scale.ticks.map((tick) => [
    svg("line", { x1: left, x2: right, y1: scale(tick), y2: scale(tick), class: "grid" }),
    svg("text", { x: left - 6, y: scale(tick) + 4, "text-anchor": "end" }, tickText(tick, scale.ticks)),
  ]);
  return svg("g", { class: "axis" }, marks);
}

const CHARACTER_WIDTH = 6.9;

/** Return the room that names need to the left of a plot, in pixels; never more than a third of the width. */
export function roomForNames(names, width) {
  const longest = Math.max(...names.map((name) => name.length));
  return Math.min(longest * CHARACTER_WIDTH + 12, width / 3);
}

/** Return a name to the left of a bar, cut where there is no room; the whole of it is shown on hovering. */
export function nameLeft(name, room, y) {
  const fits = Math.floor((room - 10) / CHARACTER_WIDTH);
  const text = name.length <= fits ? name : `${name.slice(0, Math.max(1, fits - 1))}…`;
  return svg("text", { x: room - 8, y: y + 4, "text-anchor": "end" }, svg("title", {}, name), text);
}
