"""Who is timed next, and for how long: one budget of timed segments, spent where the verdict is open.

Each contender first gets the same share. Whose steps are clear sooner leaves the rest of it; that goes to further
processes of those that are still open, in rounds. All follows from what has been timed so far, so a run that goes on
after an interruption, or with a larger budget, decides as if it had never ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from harness.config import RunConfig
from harness.experiment.plan import PlannedTrial, order_contenders
from harness.records.checks import BlockRecord
from harness.records.store import TRIAL_FILE, read_record
from harness.records.trial import BASELINE, TrialRecord
from harness.statistics.sequential import Decision, decide_early

Process = Sequence[BlockRecord]
"""The blocks of one process."""

Timed = Mapping[str, Sequence[Process]]
"""By contender (the baseline's are A/A), in the plan's order; who failed or could not be applied is not in it."""


def read_timed(directory: Path, config: RunConfig) -> dict[str, list[Process]]:
    """Return what has been timed in a run directory."""
    timed: dict[str, list[Process]] = {}
    for name in order_contenders(config.contenders):
        records = list(_speed_records(directory, name))
        if records and all(record.status == "done" for record in records):
            timed[name] = [() if record.speed is None else record.speed.blocks for record in records]
    return timed


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
    return [
        block.log_ratio for block in blocks if block.kind == "training" and not block.cold and not block.contamination
    ]


def decide(processes: Iterable[Process], *, worth: float) -> Decision | None:
    """Return what is clear of a contender's steps; None while it is open."""
    return decide_early([log_ratios(blocks) for blocks in processes], worth=worth)


def allot_s(timed: Timed, contender: str, config: RunConfig) -> float:
    """Return the seconds that the next process of a contender may take.

    Its first gets its share of the budget, whatever others have left of it; later ones share what is left with all that
    are open and have been timed in as few processes.
    """
    budget_s = config.speed.budget_s
    a_a = timed.get(BASELINE, ())
    own = timed.get(contender, ())
    if not own:
        expected_s = config.speed.restarts * fmean(spent_s([blocks]) for blocks in a_a) if a_a else 0.0
        return max(0.0, budget_s - expected_s) / max(1, len(order_contenders(config.contenders)) - 1)
    left_s = budget_s - sum(map(spent_s, timed.values()))
    rivals = [name for name in find_open(timed, config) if len(timed[name]) == len(own)]
    return max(0.0, left_s) / max(1, len(rivals))


def find_open(timed: Timed, config: RunConfig) -> list[str]:
    """Return the contenders whose steps are not clear yet."""
    return [name for name in timed if name != BASELINE and decide(timed[name], worth=config.worth) is None]


def find_next(timed: Timed, config: RunConfig, *, most_processes: int) -> str | None:
    """Return the contender that gets a further process: the open one with the fewest, if there is time for its least
    blocks; None when none is left.
    """
    waiting = [name for name in find_open(timed, config) if len(timed[name]) < most_processes]
    for name in sorted(waiting, key=lambda name: len(timed[name])):
        count = sum(len(blocks) for blocks in timed[name])
        least_s = config.speed.least_blocks * spent_s(timed[name]) / max(1, count)
        if allot_s(timed, name, config) >= max(least_s, 1e-9):
            return name
    return None
