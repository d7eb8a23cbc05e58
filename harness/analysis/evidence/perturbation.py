"""Audited perturbation: is a contender's rounding small beside what scatters its gradients anyway?

The thresholds are applied here, to raw numbers, so that older runs can be judged anew. The argument for them, and its
limits, are in harness/statistics/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.records.perturbation import PerturbationRecord, Products
from harness.statistics.noninferiority import NonInferiority
from harness.statistics.perturbation import MeanDeviation, Scatter, assess_mean, part_scales, pool_ratios, scatter_ratios

SHARE = 0.05
"""Of its scatter that the deviation of any tensor may have, at any audited step. Declared before the run."""

LEAST_AUDITS = 5
"""Audited steps below which nothing is said."""

SAME_NUMBERS = 0.2
"""Relative deviation of the whole gradient below which a contender drew the reference's random numbers. Other numbers
give 0.43 to 0.48 (bundled encoder, 8 windows), bf16 with the same ones 0.007 to 0.02."""

SAME_STEP = 0.02
"""Relative difference of a step and its twin's that rounding alone may make: sums in another order. Repeated in fresh
processes, steps of all strategies but split_batch were equal to the bit."""

DRIFT = 0.5
"""What the deviations have in common, summed up over all steps of the job, as a share of the random walk that scatter
makes of them: b·N against s·√N."""

ALPHA = 0.05
"""Of the interval of what deviations have in common, and of a loss beyond chance over all scores."""

FALSE_ALARM = 1e-3
"""Chance of calling a contender's scatter another one that is the reference's."""


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """The rounding of a contender's audited steps, judged."""

    holds: bool
    problem: str | None
    """What breaks it, in words; None too if there is too little to say anything."""
    open: str | None
    """Why it says nothing, in words."""
    share: float
    """That was allowed."""
    typical: float | None
    """Median over steps and tensors of deviation ÷ scatter."""
    worst: float | None
    worst_tensor: str | None
    worst_step: int | None
    drift: float | None
    """At most; see `DRIFT`."""
    p_mean: float | None
    """Of the sign test: whether the mean deviation shrinks as chance would have it."""
    audits: int
    scatter: Scatter | None
    """Of the steps' own gradients among draws of the reference's; None where none were drawn."""
    by_twin: bool
    """Whether deviations are a twin's, dropout off."""


def judge_perturbation(
    records: Sequence[PerturbationRecord], *, steps: int, share: float = SHARE
) -> Perturbation | None:
    """Return what the audits of a contender's jobs say, all jobs together; None without any.

    `steps`: updates of one job.
    """
    records = [record for record in records if record.steps]
    if not records:
        return None
    audits = sum(len(record.steps) for record in records)
    by_twin = not all(_draws_the_same(record) for record in records)
    scatter = pool_scatter(records)
    if by_twin and any(record.twin is None for record in records):
        told = "it draws other random numbers than the reference, and no twin of it was made"
        return _open(told, share=share, audits=audits, scatter=scatter, by_twin=by_twin)
    ratios = np.vstack([_ratios(record, by_twin=by_twin) for record in records])
    common = [assess_mean(np.array(products), alpha=ALPHA) for products in _products(records, by_twin=by_twin)]
    drift = _drift(common, steps)
    where = [(record, i) for record in records for i in range(len(record.steps))]
    row, column = np.unravel_index(int(np.argmax(ratios)), ratios.shape)
    record, place = where[int(row)]
    problems = _problems(record, records, scatter, by_twin=by_twin)
    worst, tensor, step = float(ratios.max()), record.tensors[int(column)], record.steps[place]
    if not worst <= share:
        told = "is not trained" if math.isinf(worst) else f"deviates by {worst:.1%} of its scatter"
        problems.append(f"at step {step} the gradient of {tensor} {told} (allowed: {share:.0%})")
    if drift is not None and not drift <= DRIFT:
        problems.append(f"its deviations may have in common what adds up to {drift:.2f} of what scatter does")
    too_few = audits < LEAST_AUDITS or drift is None
    return Perturbation(
        holds=not problems and not too_few,
        problem=problems[0] if problems else None,
        open=f"only {audits} steps were audited" if too_few and not problems else None,
        share=share,
        typical=float(np.median(ratios)),
        worst=worst,
        worst_tensor=tensor,
        worst_step=step,
        drift=drift,
        p_mean=min((mean.p_value for mean in common), default=None),
        audits=audits,
        scatter=scatter,
        by_twin=by_twin,
    )


def pool_scatter(records: Iterable[PerturbationRecord]) -> Scatter | None:
    """Return whether the steps' own gradients scatter as the reference's do, over all audits that have draws."""
    groups = [scatter_ratios(np.array(products)) for record in records for products in record.draws]
    return pool_ratios(groups) if groups else None


def scatter_problem(scatter: Scatter | None) -> str | None:
    """Return in words how the steps' gradients are no draws of the reference's; None if they may be."""
    if scatter is None or min(scatter.p_more, scatter.p_less) >= FALSE_ALARM / 2:
        return None
    more = scatter.p_more < scatter.p_less
    told = "further from" if more else "nearer to"
    found = f"{scatter.ratio:.2f} times the squared distance expected, over {scatter.groups} audited steps"
    return f"its gradients lie {told} the reference's than dropout explains: {found}"


def loss_beyond_chance(scores: Mapping[str, NonInferiority], *, alpha: float = ALPHA) -> str | None:
    """Return the score that is shown to be lower than the baseline's, whatever the margin; None if none is.

    One-sided at alpha over all scores together (Bonferroni).
    """
    for name, value in scores.items():
        if value.difference < 0 and _p_of_loss(value) < alpha / len(scores):
            return name
    return None


def _p_of_loss(value: NonInferiority) -> float:
    from scipy import stats

    return float(stats.t.cdf(value.difference / value.standard_error, value.degrees_of_freedom))


def _draws_the_same(record: PerturbationRecord) -> bool:
    """Return whether most steps are the reference's from the same random state: one fault must not hide itself."""
    whole = math.sqrt(sum(norm**2 for norm in record.reference))
    shares = [math.sqrt(sum((value or 0.0) ** 2 for value in row)) / max(whole, 1e-300) for row in record.deviations]
    return float(np.median(shares)) < SAME_NUMBERS


def _ratios(record: PerturbationRecord, *, by_twin: bool) -> np.ndarray:
    """Return deviation ÷ scale of each step and tensor; infinite where it is missing."""
    rows = record.twin.deviations if by_twin and record.twin is not None else record.deviations
    scales = np.maximum(part_scales(np.array(record.scatter)), 1e-300)
    return np.array([[math.inf if value is None else value for value in row] for row in rows]) / scales


def _products(records: Sequence[PerturbationRecord], *, by_twin: bool) -> list[Products]:
    return [
        record.twin.products if by_twin and record.twin is not None else record.products
        for record in records
        if len(record.steps) > 2
    ]


def _drift(common: Sequence[MeanDeviation], steps: int) -> float | None:
    """Return what deviations may have in common over a job, in units of the scatter's random walk; None: not known.

    Products are in units of scatter, so a walk of N steps is √N, and a common part b adds up to b·N. Of several jobs the
    median counts: each interval ends above the truth 19 times in 20.
    """
    known = [mean.common_at_most for mean in common if math.isfinite(mean.common_at_most)]
    return float(np.median(known)) * math.sqrt(steps) if known else None


def _problems(
    record: PerturbationRecord, records: Sequence[PerturbationRecord], scatter: Scatter | None, *, by_twin: bool
) -> list[str]:
    problems = []
    for audited in records if by_twin else ():
        for step, value in zip(audited.steps, audited.twin.disagreements if audited.twin else (), strict=True):
            if value is None:
                problems.append(f"a twin of it could not make step {step} again")
            elif not value <= SAME_STEP:
                problems.append(
                    f"step {step} is not what its strategies do on a fresh model from the same state: its gradient "
                    f"differs by {value:.2g} of its norm"
                )
    strange = scatter_problem(scatter)
    return problems + ([strange] if strange is not None and by_twin else [])


def _open(told: str, *, share: float, audits: int, scatter: Scatter | None, by_twin: bool) -> Perturbation:
    return Perturbation(
        holds=False,
        problem=scatter_problem(scatter),
        open=told,
        share=share,
        typical=None,
        worst=None,
        worst_tensor=None,
        worst_step=None,
        drift=None,
        p_mean=None,
        audits=audits,
        scatter=scatter,
        by_twin=by_twin,
    )
