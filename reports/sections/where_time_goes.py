"""Where the time goes: phases of the job, ledger of a step, waterfall between two steps, single operators."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.model import Analysis
from reports.document import Block, Picture, Section, Table, Text, contender_name, paragraph, strong, table
from reports.formatting import NONE, count, duration, milliseconds, percent, seconds, significant
from reports.phases import group_phases, phase_words
from reports.reference import TRAINING_SHARE, published_epochs
from reports.sections.ledger import ledger_section, waterfall_section
from reports.sections.profile import profile_blocks


def section(analysis: Analysis) -> Section:
    """Return everything about time, from the whole job down to single operators."""
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
        for contender, evidence in analysis.ran
        if (speed := evidence.throughput) is not None
    )
    throughput = table(headers, rows)
    return Section(
        title="Where the time goes",
        blocks=(
            *_training_share(analysis),
            Picture(name="phases", caption="Phases of each contender's job"),
            *phase_table(analysis),
            ledger_section(analysis),
            waterfall_section(analysis),
            *((Section(title="How fast the steps were", blocks=throughput),) if throughput else ()),
            *profile_blocks(analysis),
        ),
    )


def _training_share(analysis: Analysis) -> tuple[Block, ...]:
    """Say at a glance how much of the baseline's job was training."""
    baseline = analysis.baseline_contender
    rest, job_s = dict(baseline.phases_s), baseline.job_time_s
    training_s = rest.pop("training", None)
    if training_s is None or not job_s:
        return ()
    words = phase_words([metric.title for metric in analysis.scoring.metrics])
    longest = sorted(rest, key=lambda name: -rest[name])[:3]
    shares = (f"{words.get(name, name.replace('_', ' '))} {percent(rest[name] / job_s)}" for name in longest)
    published = f"; of the published reference's it was {percent(TRAINING_SHARE)}"
    beside = published if published_epochs(analysis.scoring) else ""
    sentence = paragraph(
        "Training is ", strong(percent(training_s / job_s)), f" of the baseline's job ({duration(training_s)} of "
        f"{duration(job_s)}){beside}. The longest of the rest: {', '.join(shares)}.",
    )  # fmt: skip
    return (sentence,)


def phase_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return the phases of all contenders side by side, with their share of the job."""
    contenders = [contender for contender, _ in analysis.ran]
    rows: list[Sequence[Text]] = []
    for group, times_s in group_phases(contenders).items():
        cells = [NONE if time_s is None else seconds(time_s) for time_s in times_s]
        for number, (time_s, contender) in enumerate(zip(times_s, contenders, strict=True)):
            if time_s is not None and contender.job_time_s:
                cells[number] += f" ({percent(time_s / contender.job_time_s)})"
        rows.append((group, *cells))
    if rows:
        rows.append((strong("job"), *(strong(seconds(contender.job_time_s)) for contender in contenders)))
    return table(("Phase", *(contender_name(contender.name) for contender in contenders)), rows)
