"""The baseline by kernel or operator, and where the traces lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.model import Analysis
from harness.analysis.trace.kernels import ProfileSummary
from reports.document import Block, Section, Text, bullets, code, link, paragraph, table
from reports.formatting import milliseconds, one_line, percent, significant


def profile_blocks(analysis: Analysis) -> Iterator[Block]:
    """Yield the profile of the baseline, and all traces."""
    profile = analysis.baseline_contender.profile
    if profile is None:
        yield paragraph("The baseline was not profiled, so there is no table of kernels or operators.")
    else:
        yield _baseline_profile(profile)
    traces = {c.name: c.profile.trace_file for c in analysis.contenders if c.profile is not None}
    if traces:
        perfetto = link("ui.perfetto.dev", "https://ui.perfetto.dev")
        command = code("tensorboard --logdir tensorboard")
        lines: list[Text] = [(code(name), ": ", link(path, path)) for name, path in traces.items()]
        lines.append(("Scalars, hyperparameters and figures: ", command, " in this folder"))
        how = paragraph("Traces open in ", perfetto, ":")
        yield Section(title="Traces and curves", blocks=(how, *bullets(lines)), folded=True)


def _baseline_profile(profile: ProfileSummary) -> Section:
    """Return what was profiled, what the profiler cost, and the longest kernels or operators of the profiled steps."""
    of: Text = ("all operators on the CPU; ", code("ProfilerStep*"), " is Python between them.")
    what = "operator"
    if profile.time_kind == "device":
        what, of = "kernel", "all kernels on the device."
    cost = "without an unprofiled step to hold against."
    if profile.overhead is not None and profile.unprofiled_step_time_ms is not None:
        share = f"({percent(profile.overhead)} profiler overhead, noise included)"
        if profile.overhead < 0:
            share = "(so the difference is noise, not a cost of the profiler)"
        cost = f"against a median of {significant(profile.unprofiled_step_time_ms)} ms unprofiled {share}."
    how = paragraph(
        f"{profile.active_steps} steps under the profiler, after all that is timed: "
        f"{milliseconds(profile.profiled_step_time_ms)} ms a step, {cost} Speedups come from unprofiled steps. The "
        "share is of the self time of ",
        of,
    )
    rows: list[Sequence[Text]] = [
        (code(one_line(row.name, 90)), percent(row.share), significant(row.calls_per_step),
         f"{milliseconds(row.time_ms_per_step)} ms")
        for row in profile.kernels
    ]  # fmt: skip
    if profile.other_rows:
        rows.append((f"{profile.other_rows} others", percent(profile.other_share), "", ""))
    kernels = table((what.capitalize(), "Share", "Calls per step", "Self time per step"), rows)
    return Section(title=f"The baseline by {what}", blocks=(how, *kernels), folded=True)
