"""The evidence on quality: did the baseline learn, equivalence, non-inferiority, and what each strategy changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.records.tolerances import FULL_PRECISION
from harness.statistics.estimate import Estimate, signed_words
from reports.document import Block, Section, Table, Text, bullets, code, contender_name, paragraph, strong, table
from reports.formatting import NONE, NOT_MEASURED, duration, one_line, percent, points
from reports.sections.audits import audits
from reports.verdicts import sampled_over

if TYPE_CHECKING:
    from harness.analysis.evidence.sameness import Equivalence
    from harness.analysis.model import Analysis

INTERVALS = (
    "Equivalence: some updates against the fp32 reference, dropout off; with it on, the loss of one window must "
    "scatter about as much. In a lower precision it can refute the claim, not prove it. {}: contender minus "
    "baseline, with its 95 % interval over {}. At worst: its one-sided bound, which must stay above −margin."
)
EXPECTED = (
    "What answers drawn from each model's distribution would score, in points: contender minus baseline, with its 95 % "
    "interval over {}. It doesn't jump as single answers do and shows far smaller changes of the model, but a more or "
    "less certain model changes it with all answers the same: no verdict rests on it."
)
CHANGES = "What runs differently from the baseline"


def section(analysis: Analysis) -> Section:
    """Return what the judgement of quality rests on."""
    learning, scoring = analysis.learning, analysis.scoring
    learned: Text = "Whether the baseline learned was not measured: the untrained model was not scored."
    if learning is not None:
        last = learning.last_epoch_gain
        trend = "" if last is None else f"; the last epoch changed it by {signed_words(last)}"
        gate: Text = (strong("vacuous"), f": {scoring.titles} can say nothing") if learning.vacuous else "meaningful"
        learned = (
            f"The baseline gained {signed_words(learning.gain)} points of {scoring.headline_title} over the untrained "
            f"model (at least {signed_words(learning.gain_low)} with 95 % confidence) on {learning.examples} "
            f"{scoring.examples}{trend}. The gate of quality is ",
            gate,
            ".",
        )
    blocks: list[Block] = [paragraph(learned), *map(paragraph, quality_set_words(analysis))]
    rows = quality_table(analysis)
    if rows:
        titles = scoring.titles[:1].upper() + scoring.titles[1:]
        blocks += [paragraph(INTERVALS.format(titles, sampled_over(analysis))), *rows]
    blocks += [*_certification(analysis), *_distributions(analysis)]
    blocks.append(audits(analysis))
    changes = bullets(
        (code(contender.name), f": {'; '.join(map(one_line, evidence.footprint.aspects)) or 'nothing'}.")
        for contender, evidence in analysis.ran
        if evidence.footprint is not None
    )
    if changes:
        what = paragraph("Operators with their dtypes and shapes, weights' layout, host code, settings:")
        blocks.append(Section(title=CHANGES, blocks=(what, *changes), folded=True))
    return Section(title="The evidence on quality", blocks=tuple(blocks))


def quality_set_words(analysis: Analysis) -> Iterator[str]:
    """Say by what quality is judged, where that is not the validation set, and what it took."""
    took = {c.name: evidence.quality_set_s for c, evidence in analysis.ran if evidence.quality_set_s is not None}
    if not took:
        return
    data, examples = analysis.run.data, analysis.scoring.examples
    asked, given = data["quality_questions_asked"], data["quality_questions"]
    fewer = f" ({asked:,} were asked for, the source has no more)" if given < asked else ""
    times = ", ".join(f"{name} {duration(time_s)}" for name, time_s in took.items())
    yield (
        f"Quality is judged by a set of {given:,} {examples}{fewer}, the {data['validation_questions']:,} of "
        "validation among them: each trained model answers it once, by its own evaluation, after its job and outside "
        f"the job's time ({times}).{_narrowing_words(analysis)} Scores by epoch, and those of the untrained model, are "
        "of the validation set."
    )


def _narrowing_words(analysis: Analysis) -> str:
    """Say what the quality set gains."""
    name = analysis.scoring.headline
    gains = {c.name: e.quality_narrowing[name] for c, e in analysis.ran if name in e.quality_narrowing}
    if not gains:
        return ""
    shares = ", ".join(f"{contender} {percent(gain)}" for contender, gain in gains.items())
    title = analysis.scoring.headline_title
    return f" The intervals of {title} are narrower by it than with the validation set alone: {shares}."


def quality_table(analysis: Analysis) -> tuple[Table, ...]:
    """Return each contender's equivalence and non-inferiority."""
    rows, metrics = [], analysis.scoring.metrics
    for contender, evidence in analysis.ran:
        if contender.is_baseline or (evidence.quality is None and evidence.equivalence is None):
            continue
        values = [(evidence.quality or {}).get(metric.name) for metric in metrics]
        scores = (
            NOT_MEASURED
            if value is None
            else f"{points(value.difference, value.low, value.high)}, at worst {signed_words(value.bound)} "
            f"(margin {value.margin:g})"
            for value in values
        )
        certifiable = (
            f"{m.title} {v.detectable_loss:.1f}" for m, v in zip(metrics, values, strict=True) if v is not None
        )
        equivalence = _equivalence(evidence.equivalence)
        rows.append((contender_name(contender.name), equivalence, *scores, ", ".join(certifiable) or NONE))
    titles = (f"{metric.title}, points" for metric in metrics)
    headers = ("Strategy", "Equivalence of updates", *titles, "Smallest loss certifiable, points")
    return table(headers, rows, "l" * len(headers))


def _distributions(analysis: Analysis) -> Iterator[Block]:
    """Say what the models' distributions would score: finer than answers are, and no stand-in for them."""
    lines = [
        (contender_name(contender.name), f": {_expected_words(analysis, evidence.expected_scores)}.")
        for contender, evidence in analysis.ran
        if evidence.expected_scores
    ]
    if lines:
        yield paragraph(EXPECTED.format(sampled_over(analysis)))
        yield from bullets(lines)


def _expected_words(analysis: Analysis, expected: dict[str, Estimate]) -> str:
    known = ((metric.title, expected[metric.name]) for metric in analysis.scoring.metrics if metric.name in expected)
    return ", ".join(f"expected {title} {_fine(value)}" for title, value in known)


def _fine(value: Estimate) -> str:
    """Return a difference in points that may be far below a tenth."""
    if value.low is None or value.high is None:
        return signed_words(value.estimate, 2)
    return f"{signed_words(value.estimate, 2)} ({signed_words(value.low, 2)} to {signed_words(value.high, 2)})"


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


def _certification(analysis: Analysis) -> Iterator[Block]:
    """Say what a run of this size can certify, and what not."""
    scoring, examples = analysis.scoring, analysis.scoring.examples
    measured = [evidence.quality[scoring.headline] for _, evidence in analysis.ran if evidence.quality is not None]
    if not measured:
        return
    first, title = measured[0], scoring.headline_title
    smallest = min(score.detectable_loss for score in measured)
    needed = max(score.examples_needed or 0 for score in measured)
    more = one = ""
    if needed > first.examples:
        margin = f"{first.margin:g} point{'' if first.margin == 1 else 's'}"
        more = f" Certifying {margin} of {title} needs up to about {needed:,} {examples} with as many seeds."
    if analysis.seeds < 2:
        one = f" One seed says nothing of what another would give, so {scoring.titles} alone can accept nothing."
    size = f"{first.examples:,} {examples} and {first.seeds} seed{'s' if first.seeds > 1 else ''}"
    yield paragraph(
        f"This run judges quality by {size}. With 80 % power it could certify a loss of {title} below {smallest:.1f} "
        f"points at best, if nothing is really lost.{more}{one} Strategies that claim the same mathematics don't need "
        "it: they are held against the fp32 reference, tensor by tensor."
    )
