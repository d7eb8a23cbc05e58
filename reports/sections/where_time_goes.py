"""Where the time goes: phases of the job, ledger of a step, waterfall between two steps, single operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.analysis.trace.model import CATEGORY_WORDS, Ledger
from reports.document import (
    Block,
    Picture,
    Section,
    Table,
    Text,
    bullets,
    code,
    contender_name,
    emphasis,
    paragraph,
    strong,
    table,
)
from reports.formatting import NONE, count, duration, full_stop, milliseconds, one_line, percent, seconds, significant
from reports.phases import group_phases, phase_words
from reports.reference import TRAINING_SHARE, published_epochs
from reports.sections.profile import profile_blocks
from reports.select import best_accepted, best_explained, changed_bars, scaled_steps

if TYPE_CHECKING:
    from harness.analysis.model import Analysis

NO_LEDGER = "There is no ledger of the step: no profiled steps with a readable trace are there."
NO_WATERFALL = "There is no waterfall: it needs the ledgers of the baseline and of a contender."
LEDGER_HOW = (
    "One step of each contender by what it was spent on, from its trace, with the profiler's cost per recorded event "
    "taken out. Rows and residual sum up to the median step without the profiler; the residual is what they leave "
    "unexplained."
)


def section(analysis: Analysis) -> Section:
    """Return everything about time, from the whole job down to single operators."""
    headers = ("Strategy", "Steps", "Windows/s", "Useful tokens/s", "Tokens/s with padding")
    rows = (
        (
            contender_name(contender.name),
            str(speed.steps),
            significant(speed.windows_per_s),
            count(speed.useful_tokens_per_s),
            count(speed.computed_tokens_per_s),
        )
        for contender, evidence in analysis.ran
        if (speed := evidence.throughput) is not None
    )
    throughput = table(headers, rows)
    per_second = Section(title="How much the jobs trained per second, as they ran", blocks=throughput)
    return Section(
        title="Where the time goes",
        blocks=(
            *_training_share(analysis),
            Picture(name="phases", caption="Phases of each contender's job"),
            *phase_table(analysis),
            _ledger_section(analysis),
            _waterfall_section(analysis),
            *((per_second,) if throughput else ()),
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


def _ledger_section(analysis: Analysis) -> Section:
    """Return what a step of each contender is spent on."""
    title = "One step: the ledger"
    ledgers = {c.name: c.ledger for c in analysis.contenders if c.ledger is not None}
    if not ledgers:
        return Section(title=title, blocks=(paragraph(NO_LEDGER),))
    parts: tuple[Block, ...] = ()
    baseline = ledgers.get(analysis.baseline)
    if baseline is not None:
        shares = ", ".join(f"{part.name} {percent(part.share)}" for part in baseline.parts)
        whose = "kernels on the device" if baseline.time_kind == "device" else "operators on the processor"
        host_ms = baseline.host_ms
        host = "" if host_ms is None else f" The host spent {milliseconds(host_ms)} ms a step in runtime calls."
        parts = (paragraph(f"The baseline's {baseline.steps} profiled steps ({whose}): {shares}.{host}"),)
    notes: dict[Text, None] = dict.fromkeys(one_line(note) for ledger in ledgers.values() for note in ledger.notes)
    unlike = [(contender_name(name), f": {full_stop(one_line(ledger.unlike))}")
              for name, ledger in ledgers.items() if ledger.unlike is not None]  # fmt: skip
    return Section(
        title=title,
        blocks=(
            paragraph(LEDGER_HOW),
            *ledger_table(ledgers),
            Picture(name="ledger", caption="One step of each contender by what it was spent on"),
            *parts,
            *bullets([*unlike, *notes]),
        ),
    )


def ledger_table(ledgers: Mapping[str, Ledger]) -> tuple[Table, ...]:
    """Return one column per contender, in milliseconds; other batch sizes are scaled to the first one's windows."""
    per, steps = scaled_steps(ledgers)
    columns = steps.values()
    rows: list[Sequence[Text]] = [
        (words, *(milliseconds(step.rows_ms[name]) if name in step.rows_ms else NONE for step in columns))
        for name, words in CATEGORY_WORDS.items()
    ]
    rows.append((emphasis("residual"), *(milliseconds(step.residual_ms, sign=True) for step in columns)))
    rows.append((strong("step without the profiler"), *(strong(milliseconds(step.step_ms)) for step in columns)))
    return table((f"ms per {per}", *map(contender_name, steps)), rows)


def _waterfall_section(analysis: Analysis) -> Section:
    """Return where the best contender's saving comes from."""
    title = "Where the saving comes from"
    shown, best = best_explained(analysis), best_accepted(analysis)
    if shown is None or shown.waterfall is None:
        return Section(title=title, blocks=(paragraph(NO_WATERFALL), *_withheld(analysis)))
    if best is None:
        why = " is shown, the fastest contender with a ledger, as none is accepted"
    elif best.name != shown.name:
        why = f" is shown, the fastest contender with a ledger, as {best.name}, the best accepted one, has none"
    else:
        why = ", the best accepted contender"
    waterfall = shown.waterfall
    baseline_ms, contender_ms = milliseconds(waterfall.baseline_ms), milliseconds(waterfall.contender_ms)
    saved_ms = waterfall.baseline_ms - waterfall.contender_ms
    how = paragraph(
        code(shown.name),
        f"{why}: a step of {baseline_ms} ms becomes {contender_ms} ms, which {'saves' if saved_ms >= 0 else 'costs'} "
        f"{milliseconds(abs(saved_ms))} ms, by what it was spent on:",
    )
    rows: list[tuple[Text, Text]] = [
        ("baseline", baseline_ms),
        *((CATEGORY_WORDS[b.category], milliseconds(b.difference_ms, sign=True)) for b in changed_bars(waterfall)),
        (emphasis("residual"), milliseconds(waterfall.residual_ms, sign=True)),
        (strong("contender"), strong(contender_ms)),
    ]
    picture = Picture(name="waterfall", caption=f"From the baseline's step to that of {shown.name}")
    return Section(title=title, blocks=(how, picture, *table(("", "ms"), rows), *_withheld(analysis)))


def _withheld(analysis: Analysis) -> tuple[Block, ...]:
    """Return why contenders with a ledger have no waterfall: their picture would tell something that is not so."""
    lines = [
        (contender_name(contender.name), f": {full_stop(one_line(contender.no_waterfall))}")
        for contender in analysis.contenders
        if contender.ledger is not None and contender.no_waterfall is not None
    ]
    if not lines:
        return ()
    return (paragraph("No waterfall is drawn of:"), *bullets(lines))
