// The dashboard's page: TensorBoard imports this module into an empty frame and calls render().

import { getJson } from "./api.js";
import { choice, el, prose } from "./dom.js";
import { tabs } from "./tabs.js";
import { followTheme } from "./theme.js";
import * as epochs from "./tabs/epochs.js";
import * as kernels from "./tabs/kernels.js";
import * as samples from "./tabs/samples.js";
import * as time from "./tabs/time.js";
import * as trace from "./tabs/trace.js";
import * as verdicts from "./tabs/verdicts.js";

const PAGES = { verdicts, time, kernels, epochs, samples, trace };

/** Build the page. */
export async function render() {
  document.documentElement.lang = "en";
  document.title = "speedproof";
  document.head.append(el("link", { rel: "stylesheet", href: "static/style.css" }));
  followTheme();
  const main = el("main");
  document.body.replaceChildren(main);
  try {
    const { runs } = await getJson("runs");
    if (runs.length) await showRun(main, runs, runs[0]);
    else main.append(el("p", {}, "There is no run here: TensorBoard's log directory is none of speedproof's."));
  } catch (error) {
    main.append(el("p", { role: "alert", class: "problem" }, error.message));
  }
}

async function showRun(main, runs, name) {
  const choose =
    runs.length > 1
      ? choice(
          "Run",
          runs.map((run) => [run, run]),
          name,
          (run) => showRun(main, runs, run),
        )
      : null;
  try {
    const run = await getJson("overview", { run: name });
    main.replaceChildren(header(run, choose), ...tabs("Parts of the report", pagesOf(run)));
  } catch (error) {
    main.replaceChildren(el("header", {}, choose), el("p", { role: "alert", class: "problem" }, error.message));
  }
}

function header(run, choose) {
  return el(
    "header",
    {},
    el("div", { class: "head-line" }, el("h1", {}, run.name), choose),
    run.sentence === null ? null : el("p", { class: "result" }, prose(run.sentence)),
    run.problem === null ? null : el("p", { class: "warning" }, prose(run.problem)),
  );
}

function pagesOf(run) {
  return Object.entries(PAGES).map(([id, page]) => ({ id, title: page.title(run), render: () => page.render(run) }));
}
