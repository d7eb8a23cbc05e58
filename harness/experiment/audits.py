"""The parent's side of audits: draws the steps, tells a worker of one when it is over, has the referee replay it.

The draws come from a generator that is seeded by the operating system, in a process that no strategy runs in.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.config import RunConfig
from harness.experiment.commands import (
    Answer,
    Command,
    CompareTwin,
    EndReplays,
    KeptStep,
    MakeTwin,
    Replay,
    Rest,
    RunSegment,
)
from harness.experiment.plan import PlannedTrial, resolve_contender
from harness.experiment.process import Worker, WorkerError
from harness.records.checks import AuditCost, AuditPlace, AuditRecord, AuditsRecord
from harness.records.perturbation import PerturbationRecord
from harness.records.trial import BASELINE
from harness.statistics.paired import LEAST_BLOCKS
from harness.strategy import Effect, Stage

HOPELESS = "its warm-up takes longer than the baseline's whole job"
"""Why much is left out of a contender's evidence: however fast its steps are, this job is slower."""


def is_audited(config: RunConfig, contender: str) -> bool:
    """Whether a contender's steps should be the reference's, up to its precision's rounding.

    Other schedules and models make other steps by right. A baseline without strategies is audited as a check on the
    audits themselves.
    """
    effects = {strategy.effect for strategy in resolve_contender(config, contender)}
    return config.audits.enabled and effects <= {Effect.SAME_MATH, Effect.LOWER_PRECISION}


def draw_steps(rng: np.random.Generator, *, steps_per_epoch: int, total: int, per_epoch: int) -> tuple[int, ...]:
    """Return the numbers of the steps to audit, so many of each epoch, or all of one that is shorter."""
    drawn: list[int] = []
    for first in range(1, total + 1, steps_per_epoch):
        steps = np.arange(first, min(first + steps_per_epoch, total + 1))
        drawn += sorted(rng.choice(steps, size=min(per_epoch, len(steps)), replace=False).tolist())
    return tuple(drawn)


def draw_blocks(rng: np.random.Generator, wanted: int, most_blocks: int) -> tuple[int, ...]:
    """Return the numbers of the blocks after which a segment is audited.

    So many as are wanted lie within the blocks that are always measured; one more follows whenever the number of blocks
    has doubled.
    """
    least = LEAST_BLOCKS
    if wanted == 0:
        return ()
    drawn = (1 + rng.choice(least, size=min(wanted, least), replace=False)).tolist()
    while least < most_blocks:
        drawn.append(int(rng.integers(least, min(2 * least, most_blocks))) + 1)
        least *= 2
    return tuple(sorted(drawn))


class Referee:
    """A worker that computes as the reference does: there or started at the first replay, idle between two of them."""

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start = start
        self._worker: Worker | None = None

    def keep(self, worker: Worker) -> None:
        """Take a worker that has been started by `start` already."""
        self.close()
        self._worker = worker

    def ask(self, command: Command[Answer]) -> Answer:
        """Return its answer; WorkerError if it failed, which says nothing of the contender."""
        if self._worker is None:
            self._worker = self._start()
        try:
            answer = self._worker.ask(command)
            self._worker.ask(Rest())
        except WorkerError:
            self.close()
            raise
        return answer

    def close(self) -> None:
        """End the process if there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


class AuditDesk:
    """Answers a worker's questions during one job or one segment, and keeps what the replays found."""

    def __init__(
        self,
        referee: Referee,
        asked: Replay,
        drawn: Sequence[int],
        start_twin: Callable[[], Worker] | None = None,
        most_warm_up_s: float = math.inf,
    ) -> None:
        self._most_warm_up_s = most_warm_up_s
        self._referee = referee
        self._asked = asked
        self._start_twin = start_twin
        self._drawn = tuple(drawn)
        self._steps = 0
        self.audits: list[AuditRecord] = []
        self.replays_s = 0.0
        self.problem: str | None = None

    def warmed_up(self, warm_up_s: float) -> None:
        """Leave all audits out where the job can't be faster any more."""
        if warm_up_s > self._most_warm_up_s:
            self._drawn, self.problem = (), f"none was drawn: {HOPELESS}"

    def step_over(self) -> str | None:
        """Return where the worker shall write the step that is over; None if it is none of those that were drawn."""
        self._steps += 1
        return self._asked.path if self._steps in self._drawn else None

    def step_kept(self, problem: str | None) -> None:
        """Have the step that was written replayed; `problem`: why it could not be written."""
        start_s = time.perf_counter()
        try:
            if problem is None:
                self.audits.append(self._referee.ask(replace(self._asked, step=self._steps)))
        except WorkerError as error:
            problem = f"the referee failed: {error}"
        finally:
            Path(self._asked.path).unlink(missing_ok=True)
        if problem is not None:
            self.problem = f"step {self._steps}: {problem}"
        self.replays_s += time.perf_counter() - start_s

    def record(self, of_worker: AuditsRecord | None) -> AuditsRecord:
        """Return what was found, beside what the worker tells of its own cost."""
        start_s = time.perf_counter()
        perturbation = self._perturbation()
        self.replays_s += time.perf_counter() - start_s
        return AuditsRecord(
            audits=tuple(self.audits),
            drawn=self._drawn,
            cost=None if of_worker is None else of_worker.cost,
            replays_s=self.replays_s,
            problem=self.problem,
            perturbation=perturbation,
        )

    def _perturbation(self) -> PerturbationRecord | None:
        """Return what was measured beside the replays; where it is wanted, with a twin, in a process of its own."""
        if not self._asked.measured or not self.audits:
            return None
        path = Path(self._asked.path).with_suffix(".twin")
        kept: tuple[KeptStep, ...] = ()
        record = None
        try:
            measured = self._referee.ask(EndReplays())
            record, kept = measured.record, measured.kept
            if record is not None and kept and self._start_twin is not None:
                with self._start_twin() as twin:
                    twin.ask(MakeTwin(steps=kept, path=str(path)))
                compared = self._referee.ask(CompareTwin(steps=kept, path=str(path), record=record))
                record = replace(record, twin=compared)
        except WorkerError:
            # Without a twin the record says so: the contender's rounding is then not judged.
            pass
        finally:
            for file in (path, *(Path(step.path) for step in kept)):
                file.unlink(missing_ok=True)
        return record


class SegmentAudits:
    """Has a contender run further segments like the timed ones, beside them, and audits a step of each."""

    def __init__(
        self, referee: Referee, worker: Worker, asked: Replay, blocks: tuple[int, ...], rng: np.random.Generator
    ) -> None:
        self._referee = referee
        self._worker = worker
        self._asked = asked
        self._blocks = blocks
        self._rng = rng
        self._desks: list[tuple[int, AuditDesk]] = []
        self._costs: list[AuditCost] = []

    def after_block(self, number: int, numbers: tuple[int, ...], *, repetitions: int, batch_size: int) -> bool:
        """Run and audit one more segment over a block's windows if it was drawn; return whether it was."""
        if number not in self._blocks:
            return False
        steps = math.ceil(len(numbers) / batch_size) * repetitions
        asked = replace(self._asked, block=numbers, repetitions=repetitions)
        desk = AuditDesk(self._referee, asked, (int(self._rng.integers(1, steps + 1)),))
        work = self._worker.ask(RunSegment(repetitions=repetitions, audited=True), desk)
        self._desks.append((number, desk))
        if work.audit_cost is not None:
            self._costs.append(work.audit_cost)
        return True

    def record(self) -> AuditsRecord:
        """Return what was found in all of them."""
        desks = [desk for _, desk in self._desks]
        return AuditsRecord(
            audits=tuple(audit for desk in desks for audit in desk.audits),
            drawn=tuple(number for number, _ in self._desks),
            cost=add_costs(self._costs),
            replays_s=sum(desk.replays_s for desk in desks),
            problem=next((desk.problem for desk in desks if desk.problem is not None), None),
        )


class Audits:
    """All audits of a run: draws for each job and each contender's segments, with one referee for all."""

    def __init__(
        self,
        config: RunConfig,
        directory: Path,
        *,
        train_windows: int,
        start_referee: Callable[[], Worker],
        start_twin: Callable[[str], Worker],
    ) -> None:
        self._config = config
        self._directory = directory
        self._train_windows = train_windows
        self._referee = Referee(start_referee)
        self._start_twin = start_twin
        self._rng = np.random.default_rng()

    def of_job(self, trial: PlannedTrial, *, most_warm_up_s: float) -> AuditDesk | None:
        """Return what answers the questions of a job; None if none of its steps is audited.

        None is drawn either if its warm-up takes longer than `most_warm_up_s`, the time of the baseline's whole job.
        """
        if not is_audited(self._config, trial.contender):
            return None
        training = self._config.training
        steps = math.ceil(self._train_windows / training.batch_size)
        drawn = draw_steps(
            self._rng,
            steps_per_epoch=steps,
            total=min(steps * training.epochs, training.max_steps or sys.maxsize),
            per_epoch=self._config.audits.per_epoch,
        )
        return AuditDesk(
            self._referee,
            self._ask(trial, "job"),
            drawn,
            lambda: self._start_twin(trial.contender),
            most_warm_up_s=most_warm_up_s,
        )

    def of_segments(self, trial: PlannedTrial, worker: Worker) -> SegmentAudits | None:
        """Return what audits segments beside the timed ones of a contender; None if nothing of it is audited.

        Its first process is looked at most: in further ones, started for their times alone, one segment is. Of the
        baseline none is: its job's audits check the audits themselves.
        """
        if not is_audited(self._config, trial.contender) or trial.contender == BASELINE:
            return None
        wanted = self._config.audits.in_segments if trial.process == 1 else min(1, self._config.audits.in_segments)
        blocks = draw_blocks(self._rng, wanted, self._config.speed.most_blocks)
        return SegmentAudits(self._referee, worker, self._ask(trial, "segment"), blocks, self._rng)

    def _ask(self, trial: PlannedTrial, where: AuditPlace) -> Replay:
        """Return what the referee is asked, but for step and block."""
        strategies = resolve_contender(self._config, trial.contender)
        lowers = any(strategy.effect is Effect.LOWER_PRECISION for strategy in strategies)
        # A twin of what is compiled compiles anew, which may take minutes.
        compiles = any(strategy.stage is Stage.COMPILE for strategy in strategies)
        return Replay(
            path=str(self._directory / f"{trial.contender}-step.safetensors"),
            where=where,
            seed=trial.seed,
            step=0,
            block=(),
            repetitions=1,
            lowers_precision=lowers,
            measured=where == "job" and (lowers or not compiles),
        )

    def keep_referee(self, worker: Worker) -> None:
        """Have a worker of the pinned baseline that is there replay steps; without audits it is ended."""
        if self._config.audits.enabled:
            self._referee.keep(worker)
        else:
            worker.close()

    def close(self) -> None:
        """End the referee's process."""
        self._referee.close()


def add_costs(costs: Sequence[AuditCost]) -> AuditCost | None:
    """Return the sum of costs, of memory the largest; None of none."""
    if not costs:
        return None
    return AuditCost(
        steps=sum(cost.steps for cost in costs),
        memory_gib=max(cost.memory_gib for cost in costs),
        snapshots_s=sum(cost.snapshots_s for cost in costs),
        questions_s=sum(cost.questions_s for cost in costs),
        saving_s=sum(cost.saving_s for cost in costs),
    )
