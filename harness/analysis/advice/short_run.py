"""From a short run of one configuration to the advice for the job that it stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from harness.analysis.advice.advice import Advice
from harness.analysis.advice.diagnosis import find
from harness.analysis.advice.gathering import facts_of_run
from harness.analysis.advice.rules_of_job import EVALUATION_PHASES
from harness.analysis.analyse import analyse
from harness.analysis.notes import load_warning
from harness.errors import HarnessError
from harness.records.store import LoadedRun, LoadedTrial


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """The job that a short run stands for."""

    train_questions: int
    validation_questions: int
    epochs: int
    max_steps: int | None


def advise(loaded: LoadedRun, planned: PlannedJob) -> Advice:
    """Return the advice from a short run of one configuration (its baseline) for the planned job.

    Raises HarnessError with the reason if the configuration did not run to its end.
    """
    analysis = analyse(loaded)
    baseline = analysis.baseline_contender
    job = next((trial for trial in loaded.trials if trial.record.kind == "job"), None)
    if job is None or job.record.status != "done":
        reason = "no job was run" if job is None else job.record.reason
        refused = job is not None and job.record.status == "not_applicable"
        log = f"see {loaded.directory}/trials/baseline/0/log.txt"
        raise HarnessError(
            f"{loaded.run.config.baseline} can't be profiled: {reason}",
            remedy="speedproof list says what applies here" if refused else log,
        )
    phases_s = extrapolate(job, loaded.run.data, planned)
    facts = replace(facts_of_run(loaded, [baseline], analysis.environment), phases_s=phases_s)
    profile = baseline.profile
    sampling = None if baseline.evidence is None else baseline.evidence.sampling
    load = load_warning({loaded.run.config.baseline: sampling}, analysis.environment)
    evaluations = len(job.record.epochs)
    basis = f"{len(job.steps)} steps and {evaluations} short evaluation{'s' if evaluations > 1 else ''}"
    return Advice(
        subject=loaded.run.config.baseline,
        phases_s=phases_s,
        ledger=baseline.ledger,
        findings=tuple(finding for finding, _ in find(facts)),
        trace_file=None if profile is None else profile.trace_file,
        notes=(f"the whole job is extrapolated from {basis}", *filter(None, [load]), *baseline.notes),
    )


def extrapolate(job: LoadedTrial, data: Mapping[str, Any], planned: PlannedJob) -> dict[str, float]:
    """Return the phases of the planned job: training by steps, evaluation by windows, the rest as it was.

    Windows per question are those of the short run's data; a step takes the median of its steps.
    """
    train_windows = planned.train_questions * data["train_windows"] / data["train_questions"]
    validation_windows = planned.validation_questions * data["validation_windows"] / data["validation_questions"]
    steps_per_epoch = math.ceil(train_windows / max(step.windows for step in job.steps))
    steps = planned.epochs * steps_per_epoch
    steps = steps if planned.max_steps is None else min(steps, planned.max_steps)
    evaluations = math.ceil(steps / steps_per_epoch)
    measured = job.record.phases_s
    grows = evaluations * validation_windows / (len(job.record.epochs) * data["validation_windows"])
    factors = dict.fromkeys(EVALUATION_PHASES, grows)
    phases_s = {name: time_s * factors.get(name, 1.0) for name, time_s in measured.items()}
    return phases_s | {"training": steps * median(step.time_s for step in job.steps)}
