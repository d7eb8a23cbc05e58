"""The ledger: what a step's time is spent on, by contender, and the waterfall from the baseline's step to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.model import Analysis, ContenderAnalysis
from harness.analysis.trace.model import CATEGORY_WORDS, Category, Ledger, Waterfall, WaterfallBar
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
from reports.formatting import NONE, milliseconds, one_line, percent
from reports.verdicts import best_accepted, job_speedup_or_0

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
    steps = {
        name: ScaledStep(
            # Gaps have time without any event.
            rows_ms={row.category: row.time_ms * scales[name] for row in ledger.rows if row.events or row.time_ms},
            residual_ms=None if ledger.residual_ms is None else ledger.residual_ms * scales[name],
            step_ms=None if ledger.unprofiled_step_ms is None else ledger.unprofiled_step_ms * scales[name],
        )
        for name, ledger in ledgers.items()
    }
    return (f"{windows:.0f} windows" if scaled else "step"), steps


def ledger_section(analysis: Analysis) -> Section:
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
    notes = dict.fromkeys(note for ledger in ledgers.values() for note in ledger.notes)
    return Section(
        title=title,
        blocks=(
            paragraph(LEDGER_HOW),
            *ledger_table(ledgers),
            Picture(name="ledger", caption="One step of each contender by what it was spent on"),
            *parts,
            *bullets(map(one_line, notes)),
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


def best_explained(analysis: Analysis) -> ContenderAnalysis | None:
    """Return the contender whose waterfall is shown: the best accepted one, else the fastest that has one; no peer."""
    best = best_accepted(analysis)
    if best is not None and best.waterfall is not None:
        return best
    explained = [other for other in analysis.contenders if other.waterfall is not None and not other.is_peer]
    return max(explained, key=job_speedup_or_0, default=None)


def waterfall_section(analysis: Analysis) -> Section:
    """Return where the best contender's saving comes from."""
    title = "Where the saving comes from"
    shown, best = best_explained(analysis), best_accepted(analysis)
    if shown is None or shown.waterfall is None:
        return Section(title=title, blocks=(paragraph(NO_WATERFALL),))
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
    return Section(title=title, blocks=(how, picture, *table(("", "ms"), rows)))


def changed_bars(waterfall: Waterfall) -> list[WaterfallBar]:
    """Return the categories that differ by more than rounds to 0: the others would only lengthen the list."""
    return [bar for bar in waterfall.bars if abs(bar.difference_ms) >= LEAST_MS]
