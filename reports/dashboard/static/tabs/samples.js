// What the sampler saw during a job: the GPU, or the host where there is none.

import { getJson } from "../api.js";
import { figure, legend } from "../charts/figure.js";
import { lines } from "../charts/lines.js";
import { absent, choice, el } from "../dom.js";
import { decimal, known, percent } from "../format.js";
import { table } from "../table.js";

export const title = (run) => (isGpu(run.analysis) ? "GPU" : "Samples");

const isGpu = (analysis) => analysis.contenders.some((contender) => contender.evidence?.sampling?.source === "nvml");

export function render(run) {
  if (!run.jobs.length) return absent("No samples: the records of the single jobs are not here.");
  const place = el("div");
  const jobs = run.jobs.map((job, i) => [String(i), `${job.contender}, job ${job.number}`]);
  const show = async (index) => {
    try {
      const seen = await getJson("samples", { run: run.name, ...run.jobs[Number(index)] });
      place.replaceChildren(panels(seen));
    } catch (error) {
      place.replaceChildren(absent(`These samples can’t be shown: ${error.message}`));
    }
  };
  return show("0").then(() => el("div", {}, choice("Job", jobs, "0", show), place));
}

function panels(seen) {
  if (!seen.panels.length) return absent("The sampler took no samples during this job.");
  return el(
    "div",
    {},
    el("p", { class: "aside" }, explanation(seen)),
    el(
      "div",
      { class: "grid-of-charts" },
      seen.panels.map((panel) => panelFigure(panel, seen)),
    ),
    summary(seen),
  );
}

function explanation(seen) {
  const who =
    seen.source === "nvml"
      ? "Read through NVML."
      : `Read through psutil${seen.source_reason ? `: ${seen.source_reason}` : ""}.`;
  const thinned = seen.samples_per_point > 1 ? ` Each point is the mean of ${seen.samples_per_point} samples.` : "";
  return `${who} Shaded: from the first step to the last evaluation.${thinned} ${throttling(seen)}`;
}

function throttling(seen) {
  if (!known(seen.throttle_reasons))
    return seen.source === "nvml" ? "Whether clocks were throttled was not measured." : "";
  const reasons = Object.entries(seen.throttle_reasons);
  if (!reasons.length) return "Clocks were never throttled.";
  return `Clocks were throttled: ${reasons.map(([name, share]) => `${name.replaceAll("_", " ")} in ${percent(share)} of the samples`).join(", ")}.`;
}

function panelFigure(panel, seen) {
  const series = Object.entries(panel.lines).map(([name, text], i) => ({
    text,
    series: i,
    points: seen.series[name].map((value, at) => [seen.times_s[at], value]),
  }));
  const legendItems = series.map((line) => ({ text: line.text, series: line.series, line: true }));
  const range = [0, seen.times_s.at(-1)];
  const label = `${panel.title} over time: ${Object.entries(panel.lines).map(([name, text]) => describe(text, seen.series[name])).join("; ")}.`;
  const draw = lines({ series, axis: "seconds since the first sample", shade: seen.training_s, range, height: 190 });
  return figure({ title: panel.title, label, legend: legend(legendItems), draw });
}

function statistics(values) {
  const measured = values.filter(known);
  return {
    low: Math.min(...measured),
    mean: measured.reduce((sum, value) => sum + value, 0) / measured.length,
    high: Math.max(...measured),
  };
}

function describe(text, values) {
  const { low, mean, high } = statistics(values);
  return `${text} ${decimal(low)} to ${decimal(high)}, on average ${decimal(mean)}`;
}

function summary(seen) {
  const rows = seen.panels.flatMap((panel) =>
    Object.entries(panel.lines).map(([name, text]) => {
      const { low, mean, high } = statistics(seen.series[name]);
      return [`${panel.title}: ${text}`, decimal(low), decimal(mean), decimal(high)];
    }),
  );
  const columns = [{ head: "Reading" }, ...["Lowest", "Mean", "Highest"].map((head) => ({ head, numeric: true }))];
  return table({ caption: "The whole job in numbers", columns, rows });
}
