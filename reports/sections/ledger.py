"""The ledger: what a step's time is spent on, by contender, and the waterfall from the baseline's step to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.trace.model import CATEGORY_WORDS, Category, Ledger, Waterfall, WaterfallBar
from reports.document import (
    Block,
    Picture,
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
from reports.formatting import NONE, milliseconds, one_line, percent
from reports.sections.select import best_accepted, best_explained

if TYPE_CHECKING:
    from harness.analysis.model import Analysis, ContenderAnalysis

NO_LEDGER = "There is no ledger of the step: no profiled steps with a readable trace are there."
NO_WATERFALL = "There is no waterfall: it needs the ledgers of the baseline and of a contender."
LEDGER_HOW = (
    "One step of each contender by what it was spent on, from its trace, with the profiler's cost per recorded event "
    "taken out. Rows and residual sum up to the median step without the profiler; the residual is what they leave "
    "unexplained."
)

LEAST_MS = 0.005
"""Differences below are printed as 0.00."""


@dataclass(frozen=True, kw_only=True)
class ScaledStep:
    """A contender's ledger in milliseconds for as many windows as the first contender's step has."""

    rows_ms: Mapping[Category, float]
    """Of the categories that occurred."""
    residual_ms: float | None
    step_ms: float | None
    """Without the profiler."""


def scaled_steps(ledgers: Mapping[str, Ledger]) -> tuple[str, dict[str, ScaledStep]]:
    """Return what the milliseconds are per, and the contenders' steps so that they can be compared."""
    windows = next(iter(ledgers.values())).windows_per_step
    scales = {
        name: windows / ledger.windows_per_step if windows and ledger.windows_per_step else 1.0
        for name, ledger in ledgers.items()
    }
    scaled = windows and any(scale != 1.0 for scale in scales.values())
    steps = {name: _scaled_step(ledger, scales[name]) for name, ledger in ledgers.items()}
    return (f"{windows:.0f} windows" if scaled else "step"), steps


def _scaled_step(ledger: Ledger, scale: float) -> ScaledStep:
    return ScaledStep(
        # Gaps have time without any event.
        rows_ms={row.category: row.time_ms * scale for row in ledger.rows if row.events or row.time_ms},
        residual_ms=None if ledger.residual_ms is None else ledger.residual_ms * scale,
        step_ms=None if ledger.unprofiled_step_ms is None else ledger.unprofiled_step_ms * scale,
    )


def ledger_blocks(analysis: Analysis) -> Iterator[Block]:
    """Yield what a step of each contender is spent on."""
    ledgers = {c.name: c.ledger for c in analysis.contenders if c.ledger is not None}
    if not ledgers:
        yield paragraph(NO_LEDGER)
        return
    yield paragraph(LEDGER_HOW)
    yield from ledger_table(ledgers)
    yield Picture(name="ledger", caption="One step of each contender by what it was spent on")
    baseline = analysis.baseline_contender.ledger
    if baseline is not None:
        yield paragraph(_parts_sentence(baseline))
    notes = {note: None for ledger in ledgers.values() for note in ledger.notes}
    yield from bullets(one_line(note) for note in notes)


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


def _parts_sentence(ledger: Ledger) -> str:
    """Say how a profiled step divides into its parts."""
    parts = ", ".join(f"{part.name} {percent(part.share)}" for part in ledger.parts)
    whose = "kernels on the device" if ledger.time_kind == "device" else "operators on the processor"
    host = "" if ledger.host_ms is None else \
        f" The host spent {milliseconds(ledger.host_ms)} ms a step in runtime calls."  # fmt: skip
    return f"The baseline's {ledger.steps} profiled steps ({whose}): {parts}.{host}"


def waterfall_blocks(analysis: Analysis) -> Iterator[Block]:
    """Yield where the best contender's saving comes from."""
    shown = best_explained(analysis)
    if shown is None or shown.waterfall is None:
        yield paragraph(NO_WATERFALL)
        return
    waterfall = shown.waterfall
    saved_ms = waterfall.baseline_ms - waterfall.contender_ms
    yield paragraph(
        code(shown.name),
        _why_shown(analysis, shown),
        f"a step of {milliseconds(waterfall.baseline_ms)} ms becomes {milliseconds(waterfall.contender_ms)} ms, which "
        f"{'saves' if saved_ms >= 0 else 'costs'} {milliseconds(abs(saved_ms))} ms, by what it was spent on:",
    )
    yield Picture(name="waterfall", caption=f"From the baseline's step to that of {shown.name}")
    changes = [(CATEGORY_WORDS[b.category], milliseconds(b.difference_ms, sign=True)) for b in changed_bars(waterfall)]
    yield from table(
        ("", "ms"),
        (
            ("baseline", milliseconds(waterfall.baseline_ms)),
            *changes,
            (emphasis("residual"), milliseconds(waterfall.residual_ms, sign=True)),
            (strong("contender"), strong(milliseconds(waterfall.contender_ms))),
        ),
    )


def _why_shown(analysis: Analysis, shown: ContenderAnalysis) -> str:
    best = best_accepted(analysis)
    if best is None:
        return " is shown, the fastest contender with a ledger, as none is accepted: "
    if best.name != shown.name:
        return f" is shown, the fastest contender with a ledger, as {best.name}, the best accepted one, has none: "
    return ", the best accepted contender: "


def changed_bars(waterfall: Waterfall) -> list[WaterfallBar]:
    """Return the categories that differ by more than rounds to 0: the others would only lengthen the list."""
    return [bar for bar in waterfall.bars if abs(bar.difference_ms) >= LEAST_MS]
