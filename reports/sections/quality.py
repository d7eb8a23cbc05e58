"""The evidence on quality: did the baseline learn, equivalence, non-inferiority, and what each strategy changed."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.evidence.sameness import Equivalence
from harness.analysis.model import Analysis
from harness.records.tolerances import FULL_PRECISION
from harness.statistics.noninferiority import NonInferiority
from reports.document import Block, Section, Table, Text, bullets, code, contender_name, paragraph, strong, table
from reports.formatting import NONE, NOT_MEASURED, one_line, points, signed
from reports.verdicts import sampled_over

INTERVALS = (
    "Equivalence: some updates against the fp32 reference, dropout off; with it on, the loss of one window must "
    "scatter about as much. In a lower precision it can refute the claim, not prove it. {}: contender minus "
    "baseline, with its 95 % interval over {}. At worst: its one-sided bound, which must stay above −margin."
)
CHANGES = "What runs differently from the baseline"


def section(analysis: Analysis) -> Section:
    """Return what the judgement of quality rests on."""
    changes = bullets(change_lines(analysis))
    blocks: list[Block] = [paragraph(learning_note(analysis))]
    rows = quality_table(analysis)
    if rows:
        blocks += [paragraph(INTERVALS.format(analysis.scoring.titles, sampled_over(analysis))), *rows]
    certification = certification_note(analysis)
    if certification:
        blocks.append(paragraph(certification))
    if changes:
        what = paragraph("Operators with their dtypes and shapes, weights' layout, host code, settings:")
        blocks.append(Section(title=CHANGES, blocks=(what, *changes), folded=True))
    return Section(title="The evidence on quality", blocks=tuple(blocks))


def quality_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return each contender's equivalence and non-inferiority."""
    rows, metrics = [], analysis.scoring.metrics
    for contender, evidence in analysis.ran:
        if contender.is_baseline or (evidence.quality is None and evidence.equivalence is None):
            continue
        quality = evidence.quality or {}
        rows.append(
            (
                contender_name(contender.name),
                _equivalence(evidence.equivalence),
                *(_non_inferiority(quality.get(metric.name)) for metric in metrics),
                ", ".join(f"{m.title} {quality[m.name].detectable_loss:.1f}" for m in metrics if m.name in quality)
                or NONE,
            )
        )
    scores = (f"{metric.title}, points" for metric in metrics)
    headers = ("Strategy", "Equivalence of updates", *scores, "Smallest loss certifiable, points")
    return table(headers, rows, "l" * len(headers))


def _equivalence(check: Equivalence | None) -> Text:
    if check is None:
        return "not checked"
    if check.unmade is not None:
        return f"could not be made: {one_line(check.unmade)}"
    if check.problem is not None:
        return f"does not hold: {one_line(check.problem)}"
    if check.worst is None or check.worst.gradient is None:
        return "holds; no gradients were kept"
    found = "holds" if check.tolerance_dtype == FULL_PRECISION else "not refuted"
    return (
        f"{found}: gradients off by {check.worst.gradient:.1g} at most, {check.tolerance:.0e} allowed in ",
        code(check.tolerance_dtype),
    )


def _non_inferiority(value: NonInferiority | None) -> str:
    if value is None:
        return NOT_MEASURED
    return (
        f"{points(value.difference, value.low, value.high)}, at worst {signed(value.bound)} (margin {value.margin:g})"
    )


def change_lines(analysis: Analysis) -> Iterator[Text]:
    """Yield what each contender changed of what runs."""
    for contender, evidence in analysis.ran:
        if evidence.footprint is not None:
            what = "; ".join(one_line(aspect) for aspect in evidence.footprint.aspects) or "nothing"
            yield code(contender.name), f": {what}."


def certification_note(analysis: Analysis) -> str:
    """Say what a run of this size can certify, and what not."""
    scoring = analysis.scoring
    measured = [evidence.quality[scoring.headline] for _, evidence in analysis.ran if evidence.quality is not None]
    if not measured:
        return ""
    first, title = measured[0], scoring.headline_title
    smallest = min(score.detectable_loss for score in measured)
    questions = max(score.examples_needed or 0 for score in measured)
    margin = f"{first.margin:g} point{'' if first.margin == 1 else 's'}"
    needed = f" Certifying {margin} of {title} needs up to about {questions:,} questions with as many seeds." \
        if questions > first.examples else ""  # fmt: skip
    one = f" One seed says nothing of what another would give, so {scoring.titles} alone can accept nothing." \
        if analysis.seeds < 2 else ""  # fmt: skip
    return (
        f"This run has {first.examples} validation questions and {first.seeds} seed{'s' if first.seeds > 1 else ''}. "
        f"With 80 % power it could certify a loss of {title} below {smallest:.1f} points at best, if nothing is "
        f"really lost.{needed}{one} Strategies that claim the same mathematics don't need it: they are held against "
        "the fp32 reference, tensor by tensor."
    )


def learning_note(analysis: Analysis) -> Text:
    """Say whether the baseline learned, without which the gate of quality is vacuous."""
    learning = analysis.learning
    if learning is None:
        return "Whether the baseline learned was not measured: the untrained model was not scored."
    last, scoring = learning.last_epoch_gain, analysis.scoring
    trend = "" if last is None else f"; the last epoch changed it by {signed(last)}"
    gate: Text = (strong("vacuous"), f": {scoring.titles} can say nothing") if learning.vacuous else "meaningful"
    return (
        f"The baseline gained {signed(learning.gain)} points of {scoring.headline_title} over the untrained model (at "
        f"least {signed(learning.gain_low)} with 95 % confidence){trend}. The gate of quality is ",
        gate,
        ".",
    )
