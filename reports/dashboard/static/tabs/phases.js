// The whole job of each contender, phase by phase.

import { stackedBars } from "../charts/bars.js";
import { figure, legend } from "../charts/figure.js";
import { absent, el } from "../dom.js";
import { known, percent, seconds } from "../format.js";
import { table } from "../table.js";

export function phaseSection(run) {
  const measured = run.analysis.contenders.filter((contender) => Object.keys(contender.phases_s ?? {}).length);
  const content = measured.length
    ? phaseFigure(run, measured)
    : absent("No whole job was measured, so there are no phases.");
  return el("section", {}, el("h2", {}, "The whole job, by phase"), content);
}

function phaseFigure(run, measured) {
  const groups = Object.keys(run.phase_groups);
  const rows = measured.map((contender) => {
    const segments = groupedPhases(contender.phases_s, run.phase_groups);
    return {
      name: contender.name,
      segments,
      total: contender.job_time_s ?? segments.reduce((sum, s) => sum + s.value, 0),
    };
  });
  return figure({
    title: "Seconds from the start of the process to the last byte saved, mean over the seeds",
    label: `Stacked bars of the jobs’ phases. ${rows.map((row) => `${row.name}: ${seconds(row.total)}`).join("; ")}.`,
    legend: legend([...groups, "other"].map((text, i) => ({ text, series: phaseSeries(i) }))),
    draw: stackedBars({ rows, axis: "seconds of the job", print: seconds }),
    numbers: phaseTable(run, measured),
  });
}

const phaseSeries = (number) => `phase-${number}`;

/** Return a segment for each group of phases; what belongs to none is "other". */
function groupedPhases(phases, groups) {
  const names = Object.keys(groups);
  const segments = [...names, "other"].map((text, i) => ({ text, series: phaseSeries(i), value: 0 }));
  for (const [phase, time] of Object.entries(phases)) {
    const group = names.findIndex((name) => groups[name].includes(phase));
    segments[group < 0 ? names.length : group].value += time;
  }
  return segments;
}

function phaseTable(run, measured) {
  const names = [...new Set(measured.flatMap((contender) => Object.keys(contender.phases_s)))];
  const rows = names.map((name) => [
    run.phase_words[name] ?? name.replaceAll("_", " "),
    ...measured.map((contender) => phaseCell(contender, name)),
  ]);
  rows.push(["job", ...measured.map((contender) => seconds(contender.job_time_s))]);
  const columns = [{ head: "Phase" }, ...measured.map((contender) => ({ head: contender.name, numeric: true }))];
  return table({ caption: "Time of each phase, and its share of the job", columns, rows });
}

function phaseCell(contender, name) {
  const time = contender.phases_s[name];
  if (!known(time)) return "–";
  return contender.job_time_s ? `${seconds(time)} (${percent(time / contender.job_time_s)})` : seconds(time);
}
