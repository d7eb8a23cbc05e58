"""Progress bars of a run: one for the trials, one for what the running trial does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.status import Status

from harness.experiment.listener import Listener
from harness.experiment.plan import PlannedTrial
from harness.records.trial import TrialRecord


class BarListener(Listener):
    """Draws two bars and a line for each trial that ended.

    The bars start with the first trial: a mistake found before it prints its one line and nothing else.
    """

    def __init__(self, progress: Progress, preparing: Status) -> None:
        self._progress = progress
        self._preparing = preparing
        self._trials: TaskID = progress.add_task("trials", total=None)
        self._phase: TaskID = progress.add_task("", total=None)
        self._label = ""

    def caches_warmed(self) -> None:
        """Say what the first seconds are for."""
        self._preparing.update("warming the disk's caches in a process that is thrown away")

    def trial_started(self, trial: PlannedTrial, number: int, total: int) -> None:
        """Name the trial on the upper bar; the first one makes the bars appear."""
        self._preparing.stop()
        self._progress.start()
        self._label = describe_trial(trial)
        self._progress.update(self._trials, description=self._label, completed=number - 1, total=total)
        self._progress.reset(self._phase, description="starting", total=None)

    def trial_progress(self, phase: str, done: int, total: int) -> None:
        """Move the lower bar."""
        self._progress.update(self._phase, description=phase, completed=done, total=total)

    def trial_ended(self, trial: PlannedTrial, record: TrialRecord, *, resumed: bool) -> None:
        """Print how the trial ended."""
        self._progress.advance(self._trials)
        note = " (kept from before)" if resumed else ""
        line = f"{describe_trial(trial)}: {describe_outcome(record)}{note}"
        self._progress.console.print(line, highlight=False, markup=False)


def describe_trial(trial: PlannedTrial) -> str:
    """Return the trial's name for people."""
    again = f" {trial.process}" if trial.process > 1 else ""
    return f"{trial.contender} {f'seed {trial.seed}' if trial.kind == 'job' else trial.kind}{again}"


def describe_outcome(record: TrialRecord) -> str:
    """Return in a line how a trial ended."""
    if record.status == "not_applicable":
        return f"not applicable: {record.reason}"
    if record.status == "failed":
        return f"failed: {record.reason}"
    if record.speed is not None:
        spoilt = sum(bool(block.contamination) for block in record.speed.blocks)
        return f"{len(record.speed.blocks)} blocks timed, {spoilt} of them spoilt; {record.speed.stopped}"
    if record.kind == "speed":
        return record.reason or "not timed"
    if record.job_time_s is None:
        return record.reason or "trace written"
    last = record.epochs[-1] if record.epochs else None
    scores = "".join(f", {name} {value:.1f}" for name, value in (last.scores if last else {}).items())
    training_s = sum(epoch.train_time_s for epoch in record.epochs)
    return f"job {record.job_time_s:.1f} s, training {training_s:.1f} s{scores}"


@contextmanager
def make_listener(console: Console, *, show: bool) -> Iterator[Listener]:
    """Yield a listener that draws on `console`, or one that stays silent."""
    if not show:
        yield Listener()
        return
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console)
    preparing = console.status("checking settings, model and data")
    listener = BarListener(progress, preparing)
    preparing.start()
    try:
        yield listener
    finally:
        preparing.stop()
        progress.stop()
