"""Where the time goes: phases of the job, ledger of a step, waterfall between two steps, single operators."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from reports import reference
from reports.document import Block, Section, Table, Text, contender_name, figure, paragraph, strong, table
from reports.formatting import NONE, count, duration, milliseconds, percent, seconds, significant
from reports.phases import group_phases, phase_words
from reports.sections.ledger import ledger_section, waterfall_section
from reports.sections.profile import profile_blocks
from reports.sections.select import measured_contenders


def time_section(analysis: Analysis, drawn: Container[str]) -> Section:
    """Return everything about time, from the whole job down to single operators."""
    contenders = measured_contenders(analysis)
    throughput = throughput_table(contenders)
    return Section(
        title="Where the time goes",
        blocks=(
            *_job_blocks(analysis.baseline_contender, contenders, drawn),
            ledger_section(analysis, drawn),
            waterfall_section(analysis, drawn),
            *((Section(title="How fast the steps were", blocks=throughput),) if throughput else ()),
            *profile_blocks(analysis),
        ),
    )


def _job_blocks(
    baseline: ContenderAnalysis, contenders: Sequence[ContenderAnalysis], drawn: Container[str]
) -> Iterator[Block]:
    share = training_share(baseline)
    if share:
        yield paragraph(share)
    yield from figure("phases", "Phases of each contender's job", drawn)
    yield from phase_table(contenders)


def training_share(baseline: ContenderAnalysis) -> Text:
    """Say at a glance how much of the baseline's job was training."""
    training_s, job_s = baseline.phases_s.get("training"), baseline.job_time_s
    if training_s is None or not job_s:
        return ""
    rest = {name: time_s for name, time_s in baseline.phases_s.items() if name != "training"}
    longest = sorted(rest, key=lambda name: -rest[name])[:3]
    return (
        "Training is ", strong(percent(training_s / job_s)), f" of the baseline's job ({duration(training_s)} of "
        f"{duration(job_s)}); of the published reference's it was {percent(reference.TRAINING_SHARE)}. The longest of "
        f"the rest: {', '.join(f'{phase_words(name)} {percent(rest[name] / job_s)}' for name in longest)}.",
    )  # fmt: skip


def phase_table(contenders: Sequence[ContenderAnalysis]) -> tuple[Table, ...]:
    """Return the phases of all contenders side by side, with their share of the job."""
    grouped = [group_phases(contender.phases_s) for contender in contenders]
    names = list(dict.fromkeys(name for phases in grouped for name in phases if name != "other"))
    names += ["other"] if any("other" in phases for phases in grouped) else []
    if not names:
        return ()
    rows: list[Sequence[Text]] = [
        (name, *(_phase_cell(phases.get(name), c) for phases, c in zip(grouped, contenders, strict=True)))
        for name in names
    ]
    rows.append((strong("job"), *(strong(seconds(contender.job_time_s)) for contender in contenders)))
    return table(("Phase", *(contender_name(contender.name) for contender in contenders)), rows)


def _phase_cell(time_s: float | None, contender: ContenderAnalysis) -> str:
    if time_s is None:
        return NONE
    share = f" ({percent(time_s / contender.job_time_s)})" if contender.job_time_s else ""
    return f"{seconds(time_s)}{share}"


def throughput_table(contenders: Sequence[ContenderAnalysis]) -> tuple[Table, ...]:
    """Return how fast the steps were."""
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
        for contender, speed in ((c, c.evidence.throughput) for c in contenders if c.evidence is not None)
        if speed is not None
    )
    return table(headers, rows)
