// A profiled trace in the Perfetto UI, both served from here.

import { address } from "../api.js";
import { absent, choice, el, prose } from "../dom.js";
import { decimal } from "../format.js";

export const title = () => "Trace";

export function render(run) {
  if (!run.traces.length) return absent("No traces: no contender has a profiled run, or its trace was not kept.");
  const place = el("div");
  const show = (file) =>
    place.replaceChildren(
      ...traceView(
        run,
        run.traces.find((trace) => trace.file === file),
      ),
    );
  show(run.traces[0].file);
  const options = run.traces.map((trace) => [trace.file, trace.contender]);
  return el("div", {}, el("div", { class: "controls" }, choice("Contender", options, run.traces[0].file, show)), place);
}

function traceView(run, trace) {
  const file = address("trace", { run: run.name, file: trace.file });
  const name = trace.file.split("/").at(-1);
  const download = el("a", { href: file, download: name }, `Download ${name}`);
  const line = el("p", { class: "aside" }, download, ` (${decimal(trace.size_mib)} MiB)`);
  if (run.perfetto_missing !== null) return [el("p", { class: "warning" }, prose(run.perfetto_missing)), line];
  // A fresh frame for each trace: Perfetto takes one per page. "embedded" keeps it from asking anybody outside.
  const trace_url = encodeURIComponent(new URL(file, document.baseURI).href);
  const src = `perfetto/index.html#!/viewer?mode=embedded&url=${trace_url}`;
  return [line, el("iframe", { class: "perfetto", title: `Perfetto: the trace of ${trace.contender}`, src })];
}
