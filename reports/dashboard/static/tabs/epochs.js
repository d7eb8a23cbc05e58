// Loss and scores against the time that the user waits.

import { getJson } from "../api.js";
import { figure, legend } from "../charts/figure.js";
import { lines } from "../charts/lines.js";
import { absent, el } from "../dom.js";
import { decimal, known, seconds } from "../format.js";
import { table } from "../table.js";

export const title = () => "Epochs";

export async function render(run) {
  const { curves, problems } = await getJson("curves", { run: run.name });
  const contenders = run.analysis.contenders;
  const jobs = curves.length ? curves : contenders.filter((contender) => contender.epochs?.length).map(curveOfMeans);
  if (!jobs.length) return absent("No whole fine-tuning ended, so there are no epochs.");
  return el(
    "div",
    {},
    problems.map((problem) => el("p", { class: "warning" }, problem)),
    legend(
      contenders.flatMap(({ name }, i) =>
        jobs.some((job) => job.contender === name) ? [{ text: name, series: i, line: true }] : [],
      ),
    ),
    el("p", { class: "aside" }, explanation(curves)),
    charts(jobs, contenders, metricsOf(run)),
    epochTables(run),
  );
}

const metricsOf = (run) => run.analysis.scoring?.metrics ?? [];

function explanation(curves) {
  if (!curves.length) return "The records of the single jobs are not here: each point is the mean over the seeds.";
  const size = Math.max(...curves.map((curve) => curve.steps_per_point));
  const thinned = size > 1 ? ` Each point of the loss is the mean of up to ${size} steps.` : "";
  const seeds = curves.some((curve) => curve.seed !== curves[0].seed) ? " Seeds after the first are fainter." : "";
  return `Seconds count from the start of the process: loading, compiling and evaluating take their time in it.${thinned}${seeds}`;
}

/** Return epochs that are means over seeds as if they were one job. */
function curveOfMeans(contender) {
  const phases = Object.entries(contender.phases_s ?? {});
  const before = phases.slice(
    0,
    phases.findIndex(([name]) => name === "training"),
  );
  let now = before.reduce((sum, [, time]) => sum + time, 0);
  const epochs = contender.epochs.map((epoch) => {
    now += (epoch.train_time_s ?? 0) + (epoch.evaluation_time_s ?? 0);
    return { time_s: now, ...epoch };
  });
  return {
    contender: contender.name,
    seed: 0,
    epochs,
    step_times_s: epochs.map((e) => e.time_s),
    losses: epochs.map((e) => e.train_loss),
  };
}

function charts(jobs, contenders, metrics) {
  const range = [
    0,
    Math.max(...jobs.flatMap((job) => [...job.step_times_s, ...job.epochs.map((epoch) => epoch.time_s)])),
  ];
  const firstSeed = Math.min(...jobs.map((job) => job.seed));
  const draw = (pointsOf, marked) =>
    lines({
      series: jobs.map((job) => ({
        text: `${job.contender}, seed ${job.seed}`,
        series: contenders.findIndex(({ name }) => name === job.contender),
        points: pointsOf(job),
        faint: job.seed !== firstSeed,
        marked,
      })),
      axis: "seconds since the start of the process",
      range,
    });
  const losses = (job) => job.step_times_s.map((time, i) => [time, job.losses[i]]);
  return el(
    "div",
    { class: "grid-of-charts" },
    el(
      "div",
      { class: "wide" },
      figure({
        title: "Training loss",
        label: ending("training loss", jobs, (job) => job.losses),
        draw: draw(losses, false),
      }),
    ),
    metrics.map(({ name, title }) =>
      figure({
        title: `${title} (%)`,
        label: ending(title, jobs, (job) => job.epochs.map((epoch) => epoch.scores?.[name])),
        draw: draw((job) => job.epochs.map((epoch) => [epoch.time_s, epoch.scores?.[name]]), true),
      }),
    ),
  );
}

function ending(what, jobs, valuesOf) {
  const lasts = jobs.map(
    (job) => `${job.contender}, seed ${job.seed}: ${decimal(valuesOf(job).filter(known).at(-1), 2)}`,
  );
  return `Lines of ${what} over time; the table below holds each epoch. At the end, ${lasts.join("; ")}.`;
}

function epochTables(run) {
  const metrics = metricsOf(run);
  const columns = [
    { head: "Contender, epoch" },
    { head: "Training", numeric: true },
    { head: "Evaluation", numeric: true },
    { head: "Loss", numeric: true },
    ...metrics.map(({ title }) => ({ head: `${title} (%)`, numeric: true })),
  ];
  const rows = run.analysis.contenders.flatMap((contender) =>
    (contender.epochs ?? []).map((epoch) => [
      `${contender.name}, ${epoch.epoch}`,
      seconds(epoch.train_time_s),
      seconds(epoch.evaluation_time_s),
      decimal(epoch.train_loss, 3),
      ...metrics.map(({ name }) => decimal(epoch.scores?.[name])),
    ]),
  );
  const published = (run.reference?.epochs ?? []).map((epoch, i) => [
    `published reference, ${i + 1}`,
    seconds(epoch.train_time_s),
    "not stated",
    decimal(epoch.train_loss, 3),
    ...metrics.map(({ name }) => decimal(epoch[name])),
  ]);
  return [
    table({ caption: "Each epoch, mean over the seeds", columns, rows: [...rows, ...published] }),
    run.reference &&
      el(
        "p",
        { class: "aside" },
        `The published reference is ${run.reference.what}; its whole job took ${seconds(run.reference.total_s)}.`,
      ),
    run.reference?.comparability && el("p", { class: "aside" }, run.reference.comparability),
  ];
}
