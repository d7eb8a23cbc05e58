// The step's time ledger of all contenders, and the waterfall from the baseline's step to one of them.

import { stackedBars } from "../charts/bars.js";
import { figure, legend } from "../charts/figure.js";
import { waterfall } from "../charts/waterfall.js";
import { absent, choice, el, prose } from "../dom.js";
import { change, known, milliseconds, percent } from "../format.js";
import { table } from "../table.js";

export function ledgerSections(run) {
  const measured = run.analysis.contenders.filter((contender) => known(contender.ledger));
  const bars = measured.length
    ? ledgerFigure(run, measured)
    : absent("The ledger was not measured: no contender has a profiled trace that could be split into categories.");
  return [
    el("section", {}, el("h2", {}, "A step, by category"), bars, notesOf(measured)),
    el("section", {}, el("h2", {}, "From the baseline’s step to a contender’s"), waterfallPart(run)),
  ];
}

/** Return how many of this contender's steps do the work of one baseline step. */
export function stepsPerBaselineStep(ledger, baseline) {
  if (!known(ledger.windows_per_step) || !known(baseline?.windows_per_step)) return 1;
  return baseline.windows_per_step / ledger.windows_per_step;
}

function ledgerFigure(run, measured) {
  const baseline = run.analysis.contenders[0].ledger;
  const categories = Object.entries(run.category_words);
  const rows = measured.map((contender) =>
    ledgerRow(contender, categories, stepsPerBaselineStep(contender.ledger, baseline)),
  );
  const items = [
    ...categories.map(([category, text]) => ({ text, series: category })),
    { text: "not explained (residual)", series: "residual" },
  ];
  return figure({
    title:
      "Milliseconds per step of the baseline’s size; the line across a bar and the number beside it are the step without the profiler",
    label: `Stacked bars of a step’s time. ${rows.map((row) => `${row.name}: ${milliseconds(row.total)}`).join("; ")}.`,
    legend: legend(items),
    draw: stackedBars({ rows, axis: "ms per step", print: milliseconds }),
    numbers: ledgerTable(measured, categories, baseline),
  });
}

function ledgerRow(contender, categories, scale) {
  const { ledger, name } = contender;
  const segments = categories.map(([category, text]) => {
    const row = ledger.rows.find((candidate) => candidate.category === category);
    return { text, series: category, value: (row?.time_ms ?? 0) * scale };
  });
  const total = segments.reduce((sum, segment) => sum + segment.value, 0);
  const residual = known(ledger.residual_ms) ? ledger.residual_ms * scale : 0;
  if (residual > 0) segments.push({ text: "not explained", series: "residual", value: residual });
  const measured = known(ledger.unprofiled_step_ms) ? ledger.unprofiled_step_ms * scale : null;
  return { name, segments, total: measured ?? total, mark: measured };
}

function ledgerTable(measured, categories, baseline) {
  const scales = measured.map((contender) => stepsPerBaselineStep(contender.ledger, baseline));
  const rows = categories.map(([category, text]) => [
    text,
    ...measured.map((contender, i) => {
      const row = contender.ledger.rows.find((candidate) => candidate.category === category);
      return row && row.events ? `${milliseconds(row.time_ms * scales[i])} (${percent(row.share)})` : "did not occur";
    }),
  ]);
  const scaled = (value, i) => milliseconds(known(value) ? value * scales[i] : null);
  rows.push(["residual", ...measured.map((contender, i) => scaled(contender.ledger.residual_ms, i))]);
  rows.push(["step, unprofiled", ...measured.map((contender, i) => scaled(contender.ledger.unprofiled_step_ms, i))]);
  rows.push(["step, profiled", ...measured.map((contender, i) => scaled(contender.ledger.profiled_step_ms, i))]);
  const columns = [{ head: "Category" }, ...measured.map((contender) => ({ head: contender.name, numeric: true }))];
  return table({ caption: "Time per step of the baseline’s size, and its share", columns, rows });
}

function notesOf(measured) {
  const notes = measured.flatMap((contender) =>
    [contender.ledger.unlike, ...(contender.ledger.notes ?? [])].filter(known).map((note) => `\`${contender.name}\`: ${note}`),
  );
  return notes.length
    ? el(
        "ul",
        { class: "notes" },
        notes.map((note) => el("li", {}, prose(note))),
      )
    : null;
}

function waterfallPart(run) {
  const shown = run.analysis.contenders.filter((contender) => known(contender.waterfall));
  const withheld = whyNone(run);
  if (!shown.length)
    return [absent("No waterfall: it takes the ledgers of the baseline and of a contender, like the timed steps."), withheld];
  const place = el("div");
  const show = (name) =>
    place.replaceChildren(
      waterfallFigure(
        run,
        shown.find((contender) => contender.name === name),
      ),
    );
  show(shown[0].name);
  return [
    choice(
      "Contender",
      shown.map(({ name }) => [name, name]),
      shown[0].name,
      show,
    ),
    place,
    withheld,
  ];
}

/** Say of contenders with a ledger why they have no waterfall: it would tell something that is not so. */
function whyNone(run) {
  const withheld = run.analysis.contenders.filter((c) => known(c.ledger) && known(c.no_waterfall));
  return withheld.length
    ? el(
        "ul",
        { class: "notes" },
        withheld.map(({ name, no_waterfall }) => el("li", {}, prose(`\`${name}\` has none: ${no_waterfall}`))),
      )
    : null;
}

function waterfallFigure(run, { name, waterfall: steps }) {
  const bars = steps.bars.map((bar) => ({
    text: run.category_words[bar.category] ?? bar.category,
    value: bar.difference_ms,
  }));
  bars.push({ text: "not explained (residual)", value: steps.residual_ms });
  const saved = steps.baseline_ms - steps.contender_ms;
  const rows = [
    ["baseline", milliseconds(steps.baseline_ms)],
    ...bars.map((bar) => [bar.text, change(bar.value)]),
    [name, milliseconds(steps.contender_ms)],
  ];
  return figure({
    title: `Milliseconds that each category saves or adds: baseline → ${name}`,
    label: `Waterfall from ${milliseconds(steps.baseline_ms)} to ${milliseconds(steps.contender_ms)}: ${change(-saved)} per step.`,
    draw: waterfall({
      from: { text: "baseline", value: steps.baseline_ms },
      to: { text: name, value: steps.contender_ms },
      bars,
      axis: "ms per step of the baseline’s size",
      print: milliseconds,
      printChange: change,
    }),
    numbers: table({
      caption: `From the baseline’s step to that of ${name}`,
      columns: [{ head: "Category" }, { head: "Difference", numeric: true }],
      rows,
    }),
  });
}
