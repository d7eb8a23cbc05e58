// What holds the baseline back, what was predicted from that, and how far the machine's roof is.

import { absent, el, prose } from "../dom.js";
import { NOT_MEASURED, fullStop, known, percent, seconds, significant, speedup, times } from "../format.js";
import { table } from "../table.js";

export function diagnosisSections(analysis) {
  return [
    el("section", {}, el("h2", {}, "What holds the baseline back"), findings(analysis.diagnosis)),
    el("section", {}, el("h2", {}, "Predicted and measured"), predictions(analysis.diagnosis)),
    el("section", {}, el("h2", {}, "Distance from the machine’s roof"), roofline(analysis.roofline)),
  ];
}

function findings(diagnosis) {
  if (!known(diagnosis))
    return absent("The baseline was not diagnosed: that takes its ledger and the phases of its job.");
  if (!diagnosis.findings.length) return absent("No rule found anything that holds the baseline back.");
  return el(
    "ol",
    { class: "findings" },
    diagnosis.findings.map((finding) => el("li", {}, prose(fullStop(finding.sentence)), " ", findingEnd(finding))),
  );
}

function findingEnd(finding) {
  const names = finding.strategies.flatMap((name, i) => [i ? ", " : "", el("code", {}, name)]);
  const address = names.length ? ["; addressed by ", ...names] : ["; no strategy here addresses it"];
  return el("span", { class: "aside" }, `At most ${times(finding.job_speedup_bound)} for the job`, address, ".");
}

function predictions(diagnosis) {
  if (!known(diagnosis) || !diagnosis.predictions.length) return absent("Nothing was predicted.");
  const rows = diagnosis.predictions.map((prediction) => [
    prediction.contender,
    `≤ ${times(prediction.job_speedup_bound)}`,
    measuredText(prediction),
    [prediction.missed ? el("strong", {}, "Missed. ") : null, prose(fullStop(prediction.sentence))],
  ]);
  const columns = [
    { head: "Contender" },
    { head: "Predicted", numeric: true },
    { head: "Measured", numeric: true },
    { head: "Outcome" },
  ];
  return table({ caption: "Job speedup: the bound from the baseline alone, and what came out", columns, rows });
}

function measuredText(prediction) {
  if (!known(prediction.measured)) return NOT_MEASURED;
  const { measured: estimate, measured_low: low, measured_high: high } = prediction;
  return speedup({ estimate, low, high, kind: "interval" });
}

function roofline(roof) {
  if (!known(roof)) return absent("The machine’s roof was not measured.");
  const rate = roof.matmul_tflops[roof.best_dtype];
  const rates = `The best measured rate of matrix products is ${significant(rate)} TFLOP/s (${roof.best_dtype}).`;
  const light = `At that rate the useful work of the whole job takes ${seconds(roof.speed_of_light_s)}: no job here can be shorter.`;
  const rows = roof.points.map((point) => [
    point.contender,
    significant(point.useful_tflops),
    percent(point.mfu),
    point.dtype,
    known(point.mfu_dense_peak) ? percent(point.mfu_dense_peak) : "no cited peak",
    times(point.job_over_light),
  ]);
  const columns = [
    { head: "Contender" },
    { head: "Useful TFLOP/s", numeric: true },
    { head: "MFU, measured roof", numeric: true },
    { head: "Roof of" },
    { head: "MFU, dense peak", numeric: true },
    { head: "Job ÷ shortest possible", numeric: true },
  ];
  return [
    el("p", {}, `${rates} ${light}`, roof.note ? ` ${roof.note}` : ""),
    rows.length ? table({ caption: "Training steps against the roof, counted on useful tokens", columns, rows }) : null,
  ];
}
