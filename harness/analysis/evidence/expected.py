"""What a strategy means for jobs of other lengths than the one that was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.analysis.evidence.job import JobSpeed, scale_job
from harness.analysis.evidence.parts import Jobs
from harness.analysis.evidence.speed import SpeedEvidence
from harness.statistics.estimate import Estimate
from harness.statistics.paired import combine

STEPS = (100, 1_000, 10_000)
"""Lengths of jobs that are told, in steps of the baseline."""


@dataclass(frozen=True, kw_only=True)
class ExpectedJob:
    """A job of so many steps, without evaluation: start-up, warm-up and steps, as this run measured them."""

    steps: int
    """Of the baseline; a contender with larger batches goes through the same windows."""
    baseline_s: float
    contender_s: float
    speedup: Estimate


def expect_jobs(
    baseline: Jobs, contender: Jobs, speed: SpeedEvidence | None, job: JobSpeed | None
) -> tuple[ExpectedJob, ...]:
    """Return the expected jobs of `STEPS`; nothing where a part was not measured.

    Evaluation is left out, as how often another job evaluates is not known. All else that is no training (start-up,
    warm-up, one-time work) takes the time that it took here. The interval is made of the same terms as that of the
    measured job (`JobSpeed.terms`): training's error in seconds grows with the steps, that of all else does not.
    """
    scaled = scale_job(baseline, contender, speed)
    if scaled is None or job is None or scaled.baseline.steps <= 0:
        return ()
    base = scaled.baseline
    once_s = base.job_s - base.training_s - base.evaluation_s
    own_once_s = job.contender_s - scaled.training_s - scaled.evaluation_s
    found = []
    for steps in STEPS:
        longer = steps / base.steps
        baseline_s = once_s + base.training_s * longer
        contender_s = own_once_s + scaled.training_s * longer
        if baseline_s <= 0 or contender_s <= 0:
            return ()
        # A term is a share of the measured job; training's seconds grow.
        shorter, grows = job.contender_s / contender_s, {"training": longer}
        parts = [
            (term.log_standard_error * shorter * grows.get(term.part, 1.0), term.degrees_of_freedom)
            for term in job.terms
            if term.part != "evaluation"
        ]
        ratio = combine(math.log(baseline_s / contender_s), parts, blocks=0) if parts else None
        estimate = Estimate(estimate=baseline_s / contender_s) if ratio is None else ratio.interval
        found.append(ExpectedJob(steps=steps, baseline_s=baseline_s, contender_s=contender_s, speedup=estimate))
    return tuple(found)
