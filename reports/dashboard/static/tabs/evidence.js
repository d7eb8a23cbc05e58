// What a verdict rests on, in words.

import { el, prose } from "../dom.js";
import { count, decimal, known, milliseconds, seconds, speedup, times } from "../format.js";

/** Return a contender's reasons and evidence as a list of terms and sentences; `headline` is the score that counts. */
export function evidenceOf(contender, headline) {
  const evidence = contender.evidence ?? {};
  const entries = [
    // An analysis of an earlier version holds sentences alone.
    ["Reasons", (contender.reasons ?? []).map((reason) => reason.text ?? reason)],
    [
      "Strategies",
      (contender.strategies ?? []).map(
        (part) => `\`${part.name}\`: ${part.summary} (${part.effect.toLowerCase().replaceAll("_", " ")})`,
      ),
    ],
    ["Shown", shown(contender)],
    ["Expected", expected(evidence.expected)],
    ["What it changed", evidence.footprint?.aspects ?? []],
    ["Equivalence", equivalence(evidence.equivalence)],
    ["Segments", segmentsOf(evidence)],
    ["Warm-up", warmUp(evidence.warm_up)],
    [`Time to the baseline’s ${headline}`, timeToScore(evidence.time_to_score, headline)],
    ["Work", work(contender.work)],
    ["Notes", contender.notes ?? []],
  ].filter(([, sentences]) => sentences.length);
  if (!entries.length) return el("p", {}, "Nothing more was recorded.");
  return el(
    "dl",
    {},
    entries.map(([term, sentences]) => [
      el("dt", {}, term),
      sentences.map((sentence) => el("dd", {}, prose(sentence))),
    ]),
  );
}

function shown({ speed, quality }) {
  return [known(speed) ? `Speed: ${speed}.` : null, known(quality) ? `Quality: ${quality}.` : null].filter(Boolean);
}

function expected(jobs) {
  return (jobs ?? []).map(
    (job) => `A job of ${count(job.steps)} steps: ${speedup(job.speedup)}, ${seconds(job.contender_s)}, without evaluation.`,
  );
}

function equivalence(check) {
  if (!known(check)) return [];
  const verdict = check.holds
    ? "The updates agree with the fp32 reference"
    : "The updates do not agree with the fp32 reference";
  return [
    `${verdict} (gradients within ${check.tolerance.toExponential(0)} in ${check.dtype}).`,
    ...(check.problem ? [check.problem] : []),
  ];
}

function segmentsOf({ speed: segments, job }) {
  if (!known(segments)) return [];
  const spoilt = segments.spoilt ? `, ${segments.spoilt} of them spoilt and not counted` : "";
  const asRun = known(job?.as_run) ? [`The jobs as they ran, one after the other: ${times(job.as_run.estimate)}.`] : [];
  return [`${segments.blocks} timed blocks${spoilt}; stopped because ${segments.stopped}.`, ...asRun];
}

function warmUp(cost) {
  if (!known(cost)) return [];
  const warm = known(cost.warm_s) ? `, ${seconds(cost.warm_s)} with a warm cache` : "";
  const costs = `${seconds(cost.cold_s)}${warm}; the baseline’s ${seconds(cost.baseline_s)}.`;
  if (!known(cost.saved_per_step_s)) return [costs];
  const change = `${milliseconds(1000 * Math.abs(cost.saved_per_step_s))} ${cost.saved_per_step_s < 0 ? "lost" : "saved"} per step`;
  if (!known(cost.break_even_steps)) return [costs, `${change}: never earned back.`];
  return [
    costs,
    `${change}: earned back ${cost.break_even_steps ? `after ${count(cost.break_even_steps)} steps` : "at once"}.`,
  ];
}

function timeToScore(time, headline) {
  if (!known(time)) return [];
  if (!known(time.contender_s)) return [`${headline} ${decimal(time.target)} was not reached.`];
  return [
    `${headline} ${decimal(time.target)} after ${seconds(time.contender_s)}; the baseline after ${seconds(time.baseline_s)}.`,
  ];
}

function work(done) {
  if (!known(done)) return [];
  const counts = `${count(done.updates_applied)} of ${count(done.updates)} updates applied, ${count(done.useful_tokens)} useful tokens.`;
  return [counts, ...(done.differences ?? []), ...(done.expected ?? []).map((text) => `By design: ${text}`)];
}
