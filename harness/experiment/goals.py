"""What is asked of a contender's process, by what the run has shown so far."""

from __future__ import annotations

from pathlib import Path

from harness.config import RunConfig
from harness.experiment.audits import HOPELESS
from harness.experiment.budget import allot_s, decide, job_phases_s, log_ratios, read_timed
from harness.experiment.plan import PlannedTrial, resolve_contender
from harness.experiment.speed import USUAL_EVALUATION_SHARE, Goal
from harness.records.checks import BlockRecord
from harness.records.store import TRIAL_FILE, read_record, trial_is_finished
from harness.records.trial import BASELINE, TrialRecord
from harness.statistics.paired import LEAST_BLOCKS
from harness.statistics.sequential import decide_early
from harness.strategy import Effect

EVALUATION_MATTERS = 0.2
"""Share of evaluation in a job's training and evaluation from which on every process times it; below, one does."""

EVERYONE = "--profile-all profiles it"


def goal_of(trial: PlannedTrial, config: RunConfig, directory: Path) -> Goal:
    """Return how long a process is timed, and what ends it early."""
    share, one_does = evaluation_share(directory), is_looked_at(trial, config)
    hopeless = is_hopeless(trial.contender, directory)
    timed = read_timed(directory, config)
    earlier, is_baseline = timed.of(trial.contender), trial.contender == BASELINE

    # Whoever was clear and is timed again is to be known better than that.
    is_far = decide(earlier, timed, config) is not None

    def look(blocks: list[BlockRecord]) -> str | None:
        return None if is_baseline else decide([*earlier, blocks], timed, config, is_far=is_far)

    return Goal(
        # The least tells what longer jobs would gain of who is hopeless in this one.
        budget_s=0.0 if hopeless else allot_s(timed, trial.contender, config),
        # Where there are other processes of the same program, their blocks know the noise too.
        least_blocks=LEAST_BLOCKS if is_baseline or earlier else config.speed.least_blocks,
        most_blocks=config.speed.most_blocks,
        evaluation_share=share,
        times_evaluation=not hopeless and (share >= EVALUATION_MATTERS or (one_does and not is_baseline)),
        measures_energy=one_does,
        decide=look,
    )


def evaluation_share(directory: Path) -> float:
    """Return evaluation's share of the baseline's job in training and evaluation."""
    phases_s = job_phases_s(BASELINE, directory)
    both_s = phases_s.get("training", 0.0) + phases_s.get("evaluation", 0.0)
    return phases_s["evaluation"] / both_s if both_s > 0 and "evaluation" in phases_s else USUAL_EVALUATION_SHARE


def job_s(contender: str, directory: Path) -> float | None:
    """Return the time of a contender's first job; None where there is none."""
    return sum(job_phases_s(contender, directory).values()) or None


def is_hopeless(contender: str, directory: Path) -> bool:
    """Whether a contender's first job had not begun its first step yet in the time of the baseline's whole job.

    However fast its steps are, it is slower. So what takes minutes of it is left out: what would show that its updates
    are the baseline's, which is no matter then, and its profile.
    """
    limit_s, warm_up_s = job_s(BASELINE, directory), job_phases_s(contender, directory).get("warm_up", 0.0)
    return limit_s is not None and warm_up_s > limit_s


def is_finished(trial: PlannedTrial, config: RunConfig, directory: Path) -> bool:
    """Whether a trial need not be run again; a profile that was left out may be wanted now."""
    folder = directory / trial.folder
    if not trial_is_finished(folder):
        return False
    if trial.kind != "profile" or not config.profile.everyone:
        return True
    record = read_record(folder / TRIAL_FILE, TrialRecord)
    return record.status != "done" or record.profile is not None


def is_looked_at(trial: PlannedTrial, config: RunConfig) -> bool:
    """Whether this process also gives what one of a contender's is enough for: its footprint, its energy.

    Of the baseline it is the last, so that what only it shows is no older than what it is held against.
    """
    return trial.process == (config.speed.restarts if trial.contender == BASELINE else 1)


def why_unprofiled(contender: str, config: RunConfig, directory: Path) -> str | None:
    """Return why a contender's profile would explain nothing; None if it is wanted.

    No verdict rests on it, so what its process alone may have made slower doesn't matter.
    """
    if contender == BASELINE or config.profile.everyone:
        return None
    if is_hopeless(contender, directory):
        return f"not profiled: {HOPELESS} ({EVERYONE})"
    processes = read_timed(directory, config).of(contender)
    ratios = [log_ratios(blocks) for blocks in processes]
    decision = decide_early(ratios, worth=config.worth)
    reasons = {"slower": "its steps are slower", "no gain": f"its steps gain less than {config.worth:.1%}"}
    return f"not profiled: {reasons[decision]} ({EVERYONE})" if decision in reasons else None


def is_checked(config: RunConfig, contender: str) -> bool:
    """Whether a contender's updates should be the reference's, up to its precision's rounding.

    The baseline's are looked at whatever it claims. Peers of a lower precision are not: they are there to be timed, and
    keep no gradients.
    """
    strategies = resolve_contender(config, contender)
    effects = {strategy.effect for strategy in strategies}
    if contender == BASELINE or effects <= {Effect.SAME_MATH}:
        return True
    is_peer = any(strategy.is_peer for strategy in strategies)
    return effects <= {Effect.SAME_MATH, Effect.LOWER_PRECISION} and not is_peer
