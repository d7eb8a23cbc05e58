"""Where the time goes: phases of the job, ledger of a step, waterfall between two steps, single operators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import reference
from reports.document import Block, Picture, Section, Table, Text, contender_name, paragraph, strong, table
from reports.formatting import NONE, count, duration, milliseconds, percent, seconds, significant
from reports.phases import PHASE_GROUPS, PHASE_WORDS, group_phases
from reports.sections.ledger import ledger_blocks, waterfall_blocks
from reports.sections.profile import profile_blocks
from reports.sections.select import measured_contenders


def section(analysis: Analysis) -> Section:
    """Return everything about time, from the whole job down to single operators."""
    contenders = measured_contenders(analysis)
    throughput = _throughput_table(contenders)
    return Section(
        title="Where the time goes",
        blocks=(
            *_training_share(analysis.baseline_contender),
            Picture(name="phases", caption="Phases of each contender's job"),
            *phase_table(contenders),
            Section(title="One step: the ledger", blocks=tuple(ledger_blocks(analysis))),
            Section(title="Where the saving comes from", blocks=tuple(waterfall_blocks(analysis))),
            *((Section(title="How fast the steps were", blocks=throughput),) if throughput else ()),
            *profile_blocks(analysis),
        ),
    )


def _training_share(baseline: ContenderAnalysis) -> Iterator[Block]:
    """Say at a glance how much of the baseline's job was training."""
    training_s, job_s = baseline.phases_s.get("training"), baseline.job_time_s
    if training_s is None or not job_s:
        return
    rest = {name: time_s for name, time_s in baseline.phases_s.items() if name != "training"}
    longest = sorted(rest, key=lambda name: -rest[name])[:3]
    words = (f"{PHASE_WORDS.get(name, name.replace('_', ' '))} {percent(rest[name] / job_s)}" for name in longest)
    yield paragraph(
        "Training is ", strong(percent(training_s / job_s)), f" of the baseline's job ({duration(training_s)} of "
        f"{duration(job_s)}); of the published reference's it was {percent(reference.TRAINING_SHARE)}. The longest of "
        f"the rest: {', '.join(words)}.",
    )  # fmt: skip


def phase_table(contenders: Sequence[ContenderAnalysis]) -> tuple[Table, ...]:
    """Return the phases of all contenders side by side, with their share of the job."""
    grouped = [group_phases(contender.phases_s) for contender in contenders]
    names = [name for name in (*PHASE_GROUPS, "other") if any(name in phases for phases in grouped)]
    if not names:
        return ()
    rows: list[Sequence[Text]] = [
        (name, *(_phase_cell(phases.get(name), c.job_time_s) for phases, c in zip(grouped, contenders, strict=True)))
        for name in names
    ]
    rows.append((strong("job"), *(strong(seconds(contender.job_time_s)) for contender in contenders)))
    return table(("Phase", *(contender_name(contender.name) for contender in contenders)), rows)


def _phase_cell(time_s: float | None, job_s: float | None) -> str:
    if time_s is None:
        return NONE
    return f"{seconds(time_s)} ({percent(time_s / job_s)})" if job_s else seconds(time_s)


def _throughput_table(contenders: Sequence[ContenderAnalysis]) -> tuple[Table, ...]:
    headers = ("Strategy", "Steps", "Median step", "Windows/s", "Useful tokens/s", "Tokens/s with padding")
    rows = (
        (
            contender_name(contender.name),
            str(speed.steps),
            f"{milliseconds(speed.median_step_time_ms)} ms",
            significant(speed.windows_per_s),
            count(speed.useful_tokens_per_s),
            count(speed.computed_tokens_per_s),
        )
        for contender in contenders
        if contender.evidence is not None and (speed := contender.evidence.throughput) is not None
    )
    return table(headers, rows)
