// What came out: a row for each contender, with the reasons behind its verdict.

import { sharedScale, whiskerAxis, whiskers } from "../charts/whiskers.js";
import { breakable, el, prose, uniqueId } from "../dom.js";
import { NOT_MEASURED, count, decimal, ends, gib, joules, known, rounded, signed, speedup, spread } from "../format.js";
import { disclosure, side } from "../table.js";
import { evidenceOf } from "./evidence.js";

const SIGNS = {
  ACCEPTED: "✓",
  FASTER: "▲",
  REJECTED: "✕",
  SLOWER: "▼",
  NO_GAIN: "=",
  INERT: "○",
  UNCLEAR: "?",
  NOT_MEASURED: "–",
  NOT_APPLICABLE: "–",
  FAILED: "!",
};
export const title = () => "Verdicts";

export function render(run) {
  const { analysis } = run;
  return el(
    "div",
    {},
    (analysis.warnings ?? []).map((warning) => el("p", { class: "warning" }, prose(warning))),
    verdictTable(analysis),
    el("p", { class: "legend-line" }, legendSentence(analysis)),
    settings(run),
    (analysis.notes ?? []).length
      ? disclosure(
          "Notes on this run",
          el(
            "ul",
            {},
            analysis.notes.map((note) => el("li", {}, prose(note))),
          ),
        )
      : null,
  );
}

/** Return the columns; energy only where some contender's was measured. */
function columnsOf(analysis) {
  const columns = [
    { head: "Strategy", cell: (contender) => contender.name },
    { head: "Verdict", cell: badge },
    { head: "Job and step", cell: null, side: "picture" },
    { head: "Job speedup", numeric: true, cell: (contender) => ratioCell(contender, contender.job_speedup) },
    { head: "Step speedup", numeric: true, cell: (contender) => ratioCell(contender, contender.step_speedup) },
    ...(analysis.scoring?.metrics ?? []).map(({ name, title }) => ({
      head: title,
      numeric: true,
      cell: (contender) => qualityCell(contender, contender.scores?.[name]),
    })),
    {
      head: "Peak memory",
      numeric: true,
      cell: (contender) => (known(contender.peak_memory_gib) ? gib(contender.peak_memory_gib) : emptyCell(contender)),
    },
  ];
  const withEnergy = analysis.contenders.some((contender) => known(contender.energy_j));
  return withEnergy
    ? [
        ...columns,
        {
          head: "Energy",
          numeric: true,
          cell: (contender) => (known(contender.energy_j) ? joules(contender.energy_j) : emptyCell(contender)),
        },
      ]
    : columns;
}

function verdictTable(analysis) {
  const columns = columnsOf(analysis);
  const scale = sharedScale(
    analysis.contenders.flatMap((contender) => [contender.job_speedup, contender.step_speedup]),
  );
  const headline = analysis.scoring?.metrics.find(({ name }) => name === analysis.scoring.headline).title;
  const chart = columns.find((column) => column.cell === null);
  chart.cell = (contender) => chartCell(contender, scale, analysis.noise_floor?.share);
  const heads = columns.map((column) => el("th", { scope: "col", class: side(column) }, column.head));
  return el(
    "div",
    { class: "scroll" },
    el(
      "table",
      { class: "verdicts" },
      el("caption", {}, "Every contender against the baseline"),
      el("thead", {}, el("tr", {}, heads)),
      analysis.contenders.map((contender) => contenderRows(contender, columns, headline)),
      el(
        "tfoot",
        {},
        el(
          "tr",
          {},
          columns.map((column) => el("td", { class: side(column) }, column === chart ? whiskerAxis(scale) : "")),
        ),
      ),
    ),
  );
}

/** Return a contender's row, and below it the row that its button opens. */
function contenderRows(contender, columns, headline) {
  const id = uniqueId("reasons");
  const more = el(
    "tr",
    { id, class: "more", hidden: "" },
    el("td", { colspan: columns.length }, evidenceOf(contender, headline)),
  );
  const button = el(
    "button",
    { type: "button", class: "expand", "aria-expanded": "false", "aria-controls": id },
    el("span", {}, breakable(contender.name)),
  );
  button.addEventListener("click", () => {
    more.hidden = !more.hidden;
    button.setAttribute("aria-expanded", String(!more.hidden));
  });
  const cells = columns.slice(1).map((column) => el("td", { class: side(column) }, column.cell(contender)));
  return el("tbody", {}, el("tr", {}, el("th", { scope: "row" }, button), cells), more);
}

function badge(contender) {
  const isBaseline = contender.name === "baseline" && contender.state === "measured";
  const words = isBaseline ? "baseline" : (contender.verdict ?? "NOT_MEASURED");
  const sign = SIGNS[words];
  return el(
    "span",
    { class: `badge ${words.toLowerCase().replaceAll(" ", "_")}` },
    sign ? el("span", { "aria-hidden": "true" }, `${sign} `) : null,
    words,
  );
}

function chartCell(contender, scale, floor) {
  if (contender.name === "baseline" || (!known(contender.job_speedup) && !known(contender.step_speedup))) return "";
  return whiskers({ job: contender.job_speedup, step: contender.step_speedup, floor, scale, name: contender.name });
}

function ratioCell(contender, estimate) {
  if (!known(estimate)) return emptyCell(contender);
  return inLines(rounded(estimate), spread(estimate));
}

function qualityCell(contender, difference) {
  if (!known(difference?.contender)) return emptyCell(contender);
  if (contender.name === "baseline" || !known(difference.difference)) return decimal(difference.contender);
  return inLines(decimal(difference.contender), signed(difference.difference), ends(difference, signed));
}

/** A contender that never ran has no numbers; one that did was not measured here. */
const emptyCell = (contender) => (contender.state === "measured" ? NOT_MEASURED : "–");

/** Return a number, and below it what qualifies it. */
const inLines = (first, ...others) => [
  el("span", { class: "first" }, first),
  others.filter((text) => text !== null).map((text) => el("span", { class: "second" }, text)),
];

/** Return what the signs and intervals mean, and what was not measured. */
function legendSentence(analysis) {
  const floor = analysis.noise_floor;
  const estimates = analysis.contenders
    .flatMap((contender) => [contender.job_speedup, contender.step_speedup])
    .filter(known);
  const ranges = estimates.some((estimate) => known(estimate.low) && estimate.kind !== "interval");
  const band = known(floor?.share) ? " Grey band: noise floor of a step." : "";
  return [
    el("span", { class: "picture" }, `Dot: job. Square: step. Lines: their spread.${band} `),
    "Below a speedup stands its 95 % interval",
    ranges ? ", or, without timed segments, the range that was seen. " : ". ",
    "Below a score: the difference to the baseline in points, and its 95 % interval. ",
    known(floor?.share)
      ? `Noise floor of a step: fresh processes of the baseline took ${decimal(floor.live, 3)} times as long as the live one, which ratios ` +
        `are corrected for; no step speedup within ` +
        `±${decimal(100 * floor.share, 1)} % is claimed.`
      : "The noise floor was not measured.",
    analysis.contenders.some((contender) => known(contender.energy_j)) ? "" : " Energy was not measured.",
  ];
}

function settings(page) {
  const { run, environment } = page.analysis;
  const facts = [
    ["Model", [run.config?.model?.source, run.config?.model?.weights && `${run.config.model.weights} weights`]],
    [
      "Data",
      [
        run.data?.source,
        known(run.data?.train_questions) && `${count(run.data.train_questions)} training ${page.examples}`,
        known(run.data?.validation_questions) && `${count(run.data.validation_questions)} validation ${page.examples}`,
      ],
    ],
    [
      "Device",
      [
        environment?.device_name ?? environment?.device,
        environment?.cpu !== environment?.device_name && environment?.cpu,
      ],
    ],
    ["Started", [run.started]],
    ["Command", [el("code", {}, run.command)]],
  ];
  const listed = facts.map(([name, values]) => {
    const shown = values.filter(Boolean);
    return [
      el("dt", {}, name),
      el("dd", {}, shown.length ? shown.flatMap((value, i) => (i ? [", ", value] : [value])) : "not recorded"),
    ];
  });
  return el("section", {}, el("h2", {}, "This run"), el("dl", {}, listed));
}
