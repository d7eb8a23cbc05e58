"""The ledger: what a step's time is spent on, by contender, and the waterfall from the baseline's step to another."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from harness.analysis.model import Analysis, ContenderAnalysis
from harness.analysis.trace.model import CATEGORY_WORDS, Category, Ledger, Waterfall, WaterfallBar
from reports.document import (
    Block,
    Section,
    Table,
    Text,
    bullets,
    code,
    contender_name,
    emphasis,
    figure,
    paragraph,
    strong,
    table,
)
from reports.formatting import NONE, milliseconds, one_line, percent
from reports.sections.select import best_explained
from reports.verdicts import best_accepted

NO_LEDGER = "There is no ledger of the step: no profiled steps with a readable trace are there."
NO_WATERFALL = "There is no waterfall: it needs the ledgers of the baseline and of a contender."
LEDGER_HOW = (
    "One step of each contender by what it was spent on, from its trace, with the profiler's cost per recorded event "
    "taken out. Rows and residual sum up to the median step without the profiler; the residual is what they leave "
    "unexplained."
)

LEAST_MS = 0.005
"""Differences below are printed as 0.00."""


def ledger_section(analysis: Analysis, drawn: Container[str]) -> Section:
    """Return what a step of each contender is spent on."""
    return Section(title="One step: the ledger", blocks=tuple(_ledger_blocks(analysis, drawn)))


def waterfall_section(analysis: Analysis, drawn: Container[str]) -> Section:
    """Return where the best contender's saving comes from."""
    return Section(title="Where the saving comes from", blocks=tuple(_waterfall_blocks(analysis, drawn)))


def _ledger_blocks(analysis: Analysis, drawn: Container[str]) -> Iterator[Block]:
    ledgers = {c.name: c.ledger for c in analysis.contenders if c.ledger is not None}
    if not ledgers:
        yield paragraph(NO_LEDGER)
        return
    yield paragraph(LEDGER_HOW)
    yield from ledger_table(ledgers)
    yield from figure("ledger", "One step of each contender by what it was spent on", drawn)
    baseline = analysis.baseline_contender.ledger
    if baseline is not None:
        yield paragraph(parts_sentence(baseline))
    notes = {note: None for ledger in ledgers.values() for note in ledger.notes}
    yield from bullets(one_line(note) for note in notes)


def ledger_table(ledgers: dict[str, Ledger]) -> tuple[Table, ...]:
    """Return one column per contender, in milliseconds; other batch sizes are scaled to the first one's windows."""
    windows = next(iter(ledgers.values())).windows_per_step
    scales = {name: step_scale(ledger, windows) for name, ledger in ledgers.items()}
    scaled = any(scale != 1.0 for scale in scales.values())
    unit = f"ms per {windows:.0f} windows" if scaled and windows else "ms per step"
    rows: list[Sequence[Text]] = [
        (words, *(_category_cell(ledger, category, scales[name]) for name, ledger in ledgers.items()))
        for category, words in CATEGORY_WORDS.items()
    ]
    rows.append(
        (emphasis("residual"), *(_scaled(ledger.residual_ms, scales[n], sign=True) for n, ledger in ledgers.items()))
    )
    step = (strong(_scaled(ledger.unprofiled_step_ms, scales[name])) for name, ledger in ledgers.items())
    rows.append((strong("step without the profiler"), *step))
    return table((unit, *(contender_name(name) for name in ledgers)), rows)


def step_scale(ledger: Ledger, windows: float | None) -> float:
    """Return the factor that makes a step comparable with one of so many windows."""
    return windows / ledger.windows_per_step if windows and ledger.windows_per_step else 1.0


def _category_cell(ledger: Ledger, category: Category, scale: float) -> str:
    row = next((row for row in ledger.rows if row.category == category), None)
    # Gaps have time without any event.
    if row is None or (row.events == 0 and row.time_ms == 0.0):
        return NONE
    return milliseconds(row.time_ms * scale)


def _scaled(value_ms: float | None, scale: float, *, sign: bool = False) -> str:
    return milliseconds(None if value_ms is None else value_ms * scale, sign=sign)


def parts_sentence(ledger: Ledger) -> str:
    """Say how the baseline's profiled step divides into its parts."""
    parts = ", ".join(f"{part.name} {percent(part.share)}" for part in ledger.parts)
    whose = "kernels on the device" if ledger.time_kind == "device" else "operators on the processor"
    host = "" if ledger.host_ms is None else \
        f" The host spent {milliseconds(ledger.host_ms)} ms a step in runtime calls."  # fmt: skip
    return f"The baseline's {ledger.steps} profiled steps ({whose}): {parts}.{host}"


def _waterfall_blocks(analysis: Analysis, drawn: Container[str]) -> Iterator[Block]:
    shown = best_explained(analysis)
    if shown is None or shown.waterfall is None:
        yield paragraph(NO_WATERFALL)
        return
    yield paragraph(code(shown.name), waterfall_choice(analysis, shown), _waterfall_words(shown.waterfall))
    yield from figure("waterfall", f"From the baseline's step to that of {shown.name}", drawn)
    yield from waterfall_table(shown.waterfall)


def waterfall_choice(analysis: Analysis, shown: ContenderAnalysis) -> str:
    """Say why this contender is the one that is shown."""
    best = best_accepted(analysis)
    if best is None:
        return " is shown, the fastest contender with a ledger, as none is accepted: "
    if best.name != shown.name:
        return f" is shown, the fastest contender with a ledger, as {best.name}, the best accepted one, has none: "
    return ", the best accepted contender: "


def _waterfall_words(waterfall: Waterfall) -> str:
    saved_ms = waterfall.baseline_ms - waterfall.contender_ms
    verb = "saves" if saved_ms >= 0 else "costs"
    return (
        f"a step of {milliseconds(waterfall.baseline_ms)} ms becomes {milliseconds(waterfall.contender_ms)} ms, which "
        f"{verb} {milliseconds(abs(saved_ms))} ms, by what it was spent on:"
    )


def changed_bars(waterfall: Waterfall) -> list[WaterfallBar]:
    """Return the categories that differ by more than rounds to 0: the others would only lengthen the list."""
    return [bar for bar in waterfall.bars if abs(bar.difference_ms) >= LEAST_MS]


def waterfall_table(waterfall: Waterfall) -> tuple[Table, ...]:
    """Return the differences from the baseline's step to the contender's."""
    rows: list[Sequence[Text]] = [("baseline", milliseconds(waterfall.baseline_ms))]
    rows += [(CATEGORY_WORDS[b.category], milliseconds(b.difference_ms, sign=True)) for b in changed_bars(waterfall)]
    rows.append((emphasis("residual"), milliseconds(waterfall.residual_ms, sign=True)))
    rows.append((strong("contender"), strong(milliseconds(waterfall.contender_ms))))
    return table(("", "ms"), rows)
