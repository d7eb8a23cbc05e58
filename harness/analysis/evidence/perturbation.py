"""Audited perturbation: is a contender's rounding small beside what scatters its gradients anyway?

The thresholds are applied here, to raw numbers, so that older runs can be judged anew. The argument for them, and its
limits, are in harness/statistics/README.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.records.perturbation import SAME_NUMBERS, PerturbationRecord, Products
from harness.statistics.noninferiority import NonInferiority
from harness.statistics.perturbation import (
    MeanDeviation,
    assess_mean,
    part_scales,
)

LEAST_AUDITS = 5
"""Audited steps below which nothing is said."""

LEAST_MEAN = 3
"""Audited steps of one job from which what deviations have in common is estimated."""

SAME_STEP, SAME_STEP_FP32 = 0.02, 1e-3
"""Relative difference of a step and its twin's that rounding alone may make, in a lower precision and in fp32: sums in
another order. Repeated in fresh processes, steps of all strategies but split_batch were equal to the bit."""

DRIFT = 0.5
"""What the deviations have in common, summed up over all steps of the job, as a share of the random walk that scatter
makes of them: b·N against s·√N."""

BEYOND_WORDS = 100.0
"""Deviation ÷ scatter from which on the number says nothing: the scatter is about zero."""

ALPHA = 0.05
"""Of the interval of what deviations have in common, and of a loss beyond chance over all scores."""


@dataclass(frozen=True, kw_only=True)
class Rounding:
    """Deviations ÷ scatter, of each tensor the root mean square over all audited steps."""

    problem: str | None
    """Why it does not hold though the contender may be honest, in words: EM and F1 decide."""
    typical: float | None = None
    """The median over tensors."""
    worst: float | None = None
    worst_tensor: str | None = None
    worst_step: int | None = None
    """At which that tensor deviated most."""
    drift: float | None = None
    """At most; see `DRIFT`."""
    p_mean: float | None = None
    """Of the sign test: whether the mean deviation shrinks as chance would have it; the smallest of all jobs."""


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """The rounding of a contender's audited steps, judged."""

    holds: bool
    """Its rounding is small beside the scatter: with EM/F1 that show no loss, its quality is the same."""
    fault: str | None
    """What no rounding explains, in words: a step is not what the strategies do on a fresh model."""
    rounding: Rounding
    share: float
    """That was allowed."""
    audits: int
    by_twin: bool
    """Whether deviations are a twin's, dropout off."""


def judge_perturbation(
    records: Sequence[PerturbationRecord], *, steps: int, share: float, lowers_precision: bool = True
) -> Perturbation | None:
    """Return what the audits of a contender's jobs say, all jobs together; None without any.

    `steps`: updates of one job. In full precision, where only steps with other random numbers than the reference's are
    measured, the rounding is no matter: what is asked is whether each is its twin's.
    """
    records = [record for record in records if record.steps]
    if not records:
        return None
    by_twin = not all(draws_the_same(record) for record in records)
    tables = [_table_of(record, by_twin=by_twin) for record in records]
    if any(table is None for table in tables):
        measured = Rounding(problem="it draws other random numbers than the reference, and no twin of it was made")
    else:
        measured = _judge_rounding([table for table in tables if table is not None], steps=steps, share=share)
    same_step = SAME_STEP if lowers_precision else SAME_STEP_FP32
    fault = find_other_step(records, same_step=same_step) if by_twin else None
    return Perturbation(
        holds=fault is None and measured.problem is None,
        fault=fault,
        rounding=measured,
        share=share,
        audits=sum(len(record.steps) for record in records),
        by_twin=by_twin,
    )


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Deviations of one job's audited steps, each step's and tensor's ÷ its scale; infinite where it is missing."""

    ratios: np.ndarray
    products: Products
    tensors: tuple[str, ...]
    steps: tuple[int, ...]


def _table_of(record: PerturbationRecord, *, by_twin: bool) -> _Table | None:
    """Return the steps' own deviations, or the twin's if there is one."""
    source = record.twin if by_twin else record
    if source is None:
        return None
    # A gradient is 32-bit, so what scatters less does not at all; squares of ratios to it are far from overflow.
    scales = np.maximum(part_scales(np.array(record.scatter)), np.finfo(np.float32).smallest_subnormal)
    sizes = np.array([[math.inf if value is None else value for value in row] for row in source.deviations])
    return _Table(ratios=sizes / scales, products=source.products, tensors=record.tensors, steps=record.steps)


def _judge_rounding(tables: Sequence[_Table], *, steps: int, share: float) -> Rounding:
    ratios = np.vstack([table.ratios for table in tables])
    steps_of = [step for table in tables for step in table.steps]
    # Of all audits together: noise adds up by its squares, so that one step with a large gradient is no matter.
    typical_of = np.sqrt((ratios**2).mean(axis=0))
    column = int(np.argmax(typical_of))
    tensor, step, worst = tables[0].tensors[column], steps_of[int(np.argmax(ratios[:, column]))], typical_of[column]
    means = [assess_mean(np.array(table.products), alpha=ALPHA) for table in tables if len(table.steps) >= LEAST_MEAN]
    drift = _drift(means, steps)
    audits = sum(len(table.steps) for table in tables)
    problem = None
    if not worst <= share:
        size = "many times" if worst >= BEYOND_WORDS else f"{worst:.1%} of"
        told = "is missing" if math.isinf(worst) else f"deviates by {size} its scatter"
        problem = f"the gradient of {tensor} {told} (allowed: {share:.0%}), most at step {step} of those audited"
    elif audits < LEAST_AUDITS or drift is None:
        problem = f"only {audits} of its steps were audited"
    elif not drift <= DRIFT:
        problem = f"what its deviations have in common may add up to {drift:.2f} of what scatter adds up to"
    return Rounding(
        problem=problem,
        typical=float(np.median(typical_of)),
        worst=float(worst),
        worst_tensor=tensor,
        worst_step=step,
        drift=drift,
        p_mean=min((mean.p_value for mean in means), default=None),
    )


def _drift(means: Sequence[MeanDeviation], steps: int) -> float | None:
    """Return what deviations may have in common over a job, in units of the scatter's random walk; None: not known.

    Products are in units of scatter, so that a walk of N steps is √N, and a common part b adds up to b·N. Jobs are
    samples of one contender, and each one's interval ends above the truth 19 times in 20: their median counts.
    """
    ends = [mean.common_at_most for mean in means]
    return float(np.median(ends)) * math.sqrt(steps) if ends else None


def find_other_step(records: Iterable[PerturbationRecord], *, same_step: float = SAME_STEP) -> str | None:
    """Return in words which step was not what the strategies do on a fresh model; None if none was, or if what they do
    can't be made again.
    """
    for record in records:
        twin = record.twin
        if twin is None or twin.repeatability is None or not twin.repeatability <= same_step:
            continue
        for step, value in zip(record.steps, twin.disagreements, strict=True):
            if value is not None and not value <= same_step:
                return (
                    f"step {step} is not what its strategies do on a fresh model from the same state and random state: "
                    f"the gradient differs by {value:.2g} of its norm"
                )
    return None


def loss_beyond_chance(scores: Mapping[str, NonInferiority], *, alpha: float = ALPHA) -> str | None:
    """Return the score that is shown to be lower than the baseline's, whatever the margin; None if none is.

    One-sided at alpha over all scores together (Bonferroni).
    """
    for name, value in scores.items():
        if value.p_loss < alpha / len(scores):
            return name
    return None


def draws_the_same(record: PerturbationRecord) -> bool:
    """Return whether every step is the reference's from the same random state; a twin must explain one that is not."""
    whole = math.sqrt(sum(norm**2 for norm in record.reference))
    shares = [math.sqrt(sum((value or 0.0) ** 2 for value in row)) / max(whole, 1e-300) for row in record.deviations]
    return max(shares) < SAME_NUMBERS
