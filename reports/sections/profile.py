"""The baseline by kernel or operator, and where the traces lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from reports.document import Block, Section, Table, Text, bullets, code, link, paragraph, table
from reports.formatting import measured, milliseconds, one_line, percent, significant


def profile_blocks(analysis: Analysis) -> Iterator[Block]:
    """Yield the profile of the baseline, and all traces."""
    baseline = analysis.baseline_contender
    if baseline.profile is None:
        yield paragraph("The baseline was not profiled, so there is no table of kernels or operators.")
    else:
        what = "kernel" if baseline.profile.time_kind == "device" else "operator"
        blocks: tuple[Block, ...] = (paragraph(profile_note(baseline)), *kernel_table(baseline))
        yield Section(title=f"The baseline by {what}", blocks=blocks, folded=True)
    traces = bullets(_trace_lines(analysis))
    if traces:
        perfetto = link("ui.perfetto.dev", "https://ui.perfetto.dev")
        yield Section(
            title="Traces and curves", blocks=(paragraph("Traces open in ", perfetto, ":"), *traces), folded=True
        )


def _trace_lines(analysis: Analysis) -> Iterator[Text]:
    for contender in analysis.contenders:
        if contender.profile is not None:
            path = contender.profile.trace_file
            yield code(contender.name), ": ", link(path, path)
    if any(contender.profile is not None for contender in analysis.contenders):
        command = code("tensorboard --logdir tensorboard")
        yield "Scalars, hyperparameters and figures: ", command, " in this folder"


def profile_note(contender: ContenderAnalysis) -> Text:
    """Say what was profiled and what the profiler cost."""
    profile = contender.profile
    if profile is None:
        return ""
    steps = f"{profile.active_steps} steps under the profiler, after all that is timed: " \
        f"{milliseconds(profile.profiled_step_time_ms)} ms a step"  # fmt: skip
    if profile.overhead is None:
        cost = ", without an unprofiled step to hold against."
    else:
        cost = f", against a median of {measured(profile.unprofiled_step_time_ms, 'ms')} unprofiled "
        cost += "(so the difference is noise, not a cost of the profiler)." if profile.overhead < 0 else \
            f"({percent(profile.overhead)} profiler overhead, noise included)."  # fmt: skip
    of: Text = "all kernels on the device."
    if profile.time_kind != "device":
        of = ("all operators on the CPU; ", code("ProfilerStep*"), " is Python between them.")
    return (steps, cost, " Speedups come from unprofiled steps. The share is of the self time of ", of)


def kernel_table(contender: ContenderAnalysis) -> tuple[Table, ...]:
    """Return the longest kernels or operators of the profiled steps."""
    profile = contender.profile
    if profile is None:
        return ()
    what = "Kernel" if profile.time_kind == "device" else "Operator"
    rows: list[Sequence[Text]] = [
        (code(one_line(row.name, 90)), percent(row.share), significant(row.calls_per_step),
         f"{milliseconds(row.time_ms_per_step)} ms")
        for row in profile.kernels
    ]  # fmt: skip
    if profile.other_rows:
        rows.append((f"{profile.other_rows} others", percent(profile.other_share), "", ""))
    return table((what, "Share", "Calls per step", "Self time per step"), rows)
