"""Who is timed next, and for how long: one budget of timed segments, spent where the verdict is open.

Each contender first gets the same share. Whose steps are clear sooner leaves the rest of it; that goes to further
processes of those that are still open, in rounds. All follows from what has been timed so far, so a run that goes on
after an interruption, or with a larger budget, decides as if it had never ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.config import RunConfig
from harness.experiment.plan import PlannedTrial, order_contenders
from harness.records.checks import BlockRecord
from harness.records.store import TRIAL_FILE, read_record, trial_is_finished
from harness.records.trial import BASELINE, TrialRecord
from harness.statistics.multiple import alpha_of_look, claim_level
from harness.statistics.paired import LEAST_GAIN
from harness.statistics.sequential import Decision, claim_early

FAR_GAIN = 0.1
"""Steps that are faster or slower by clearly more than this are not what leaves the verdict on a job open."""

Process = Sequence[BlockRecord]
"""The blocks of one process."""


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What a run has timed so far."""

    processes: Mapping[str, Sequence[Process]]
    """By contender (the baseline's are A/A), in the plan's order; who failed or could not be applied is not in it."""
    training_share: float = 1.0
    """Of the baseline's job: so much of what steps gain or lose, in logs, a job does. 1 where there is no job."""

    def of(self, contender: str) -> Sequence[Process]:
        """Return the processes of a contender; none if it has not been timed."""
        return self.processes.get(contender, ())


def read_timed(directory: Path, config: RunConfig) -> Timed:
    """Return what has been timed in a run directory."""
    timed: dict[str, list[Process]] = {}
    for name in order_contenders(config.contenders):
        records = list(_speed_records(directory, name))
        if records and all(record.status == "done" for record in records):
            timed[name] = [() if record.speed is None else record.speed.blocks for record in records]
    phases_s = job_phases_s(BASELINE, directory)
    share = phases_s["training"] / sum(phases_s.values()) if phases_s.get("training") else 1.0
    return Timed(processes=timed, training_share=share)


def job_phases_s(contender: str, directory: Path) -> dict[str, float]:
    """Return the phases of a contender's first job; empty where there is none."""
    folder = directory / PlannedTrial(contender=contender, kind="job", seed=0).folder
    return read_record(folder / TRIAL_FILE, TrialRecord).phases_s if trial_is_finished(folder) else {}


def _speed_records(directory: Path, contender: str) -> Iterable[TrialRecord]:
    """Yield the records of a contender's timed processes; those of the baseline may lack one in between."""
    folder = directory / "trials" / contender
    for number in range(1, 1 + len(list(folder.glob("speed*")))):
        trial = PlannedTrial(contender=contender, kind="speed", seed=0, process=number)
        path = directory / trial.folder / TRIAL_FILE
        if path.exists():
            yield read_record(path, TrialRecord)


def spent_s(processes: Iterable[Process]) -> float:
    """Return the seconds of all timed segments, those of cold and contaminated blocks too."""
    return sum(block.segments_s for blocks in processes for block in blocks)


def log_ratios(blocks: Process) -> list[float]:
    """Return what counts of a process's training."""
    return [block.log_ratio for block in blocks if block.kind == "training" and block.is_evidence]


def decide(own: Iterable[Process], timed: Timed, config: RunConfig, *, is_far: bool = False) -> Decision | None:
    """Return what is clear of a contender's steps from its `own` processes; None while it is open.

    The verdict is on the job, whose other parts dilute what steps gain or lose. So what counts is what a job gains of
    which nothing else is changed. `is_far`: only steps that are far from 1 count as faster or slower.
    """
    least_gain, worth = (math.expm1(math.log1p(gain) / timed.training_share) for gain in (LEAST_GAIN, config.worth))
    return claim_early(
        [log_ratios(blocks) for blocks in own],
        [log_ratios(blocks) for blocks in timed.of(BASELINE)],
        worth=worth,
        level=claim_level(alpha_of_look(config.quality.alpha, 1), max(1, len(config.contenders))),
        least_gain=max(FAR_GAIN, least_gain) if is_far else least_gain,
    )


def left_s(timed: Timed, config: RunConfig) -> float:
    """Return the seconds of the budget that nobody has spent."""
    return max(0.0, config.speed.budget_s - sum(map(spent_s, timed.processes.values())))


def allot_s(timed: Timed, contender: str, config: RunConfig) -> float:
    """Return the seconds that the next process of a contender may take.

    All contenders' first processes get the same share of the budget, whatever others have left of it. The restarts of
    the baseline, which all are held against, get together √k times as much as each of k contenders (Dunnett, J. Am.
    Stat. Assoc. 50, 1955, 1096-1121: the differences are then known best). A contender's further processes share what
    is left with all that are open and have been timed in as few; further restarts come before them, with their share of
    what is left.
    """
    own, speed = timed.of(contender), config.speed
    if contender == BASELINE:
        is_first = len(own) < speed.restarts
        rivals = max(1, len(_names(config) if is_first else find_open(timed, config)))
        to_come = speed.restarts if is_first else speed.restarts - len(own) % speed.restarts
        return (speed.budget_s if is_first else left_s(timed, config)) / (1.0 + math.sqrt(rivals)) / to_come
    if not own:
        rivals = len(_names(config))
        return speed.budget_s / (rivals + math.sqrt(rivals))
    is_open = contender in find_open(timed, config)
    rivals = sum(len(timed.of(name)) == len(own) for name in find_open(timed, config, is_far=not is_open))
    return left_s(timed, config) / max(1, rivals)


def _names(config: RunConfig) -> list[str]:
    return [name for name in order_contenders(config.contenders) if name != BASELINE]


def find_open(timed: Timed, config: RunConfig, *, is_far: bool = False) -> list[str]:
    """Return the contenders whose steps are not clear yet, or not so far from 1 that it is clear of any job."""
    names = [name for name in timed.processes if name != BASELINE]
    return [name for name in names if decide(timed.of(name), timed, config, is_far=is_far) is None]


def find_next(timed: Timed, config: RunConfig, *, requests: int) -> str | None:
    """Return who gets a further process: the baseline, then the open contender with the fewest, if there is time for
    the least blocks; None when none is left.

    Nobody gets more than `speed.restarts` processes for each of the `requests` that were made of this run. So the
    baseline's turn comes where a run is extended, beside another live one. That was done because a verdict is open: of
    a job, or against a high noise floor, where steps alone may be clear. So after those who are open it is the turn of
    those who are not far from 1.
    """
    most, are_open = config.speed.restarts * requests, find_open(timed, config)
    names = (BASELINE, *(are_open if requests == 1 else find_open(timed, config, is_far=True)))
    waiting = [name for name in names if len(timed.of(name)) < most]
    for name in sorted(waiting, key=lambda name: (name != BASELINE, name not in are_open, len(timed.of(name)))):
        blocks = [block for process in timed.of(name) for block in process]
        least_s = config.speed.least_blocks * spent_s([blocks]) / max(1, len(blocks))
        if 0.0 < least_s <= left_s(timed, config):
            return name
    return None
