"""The bench: worker processes one after the other, beside a baseline that stays alive to be timed against."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.config import RunConfig
from harness.experiment.audits import Audits, SegmentAudits
from harness.experiment.commands import Prepare, Readiness, Rest, RunJob, RunProfile, SaveUpdates, TakeFootprint
from harness.experiment.deviation import compare_updates, load_updates
from harness.experiment.goals import (
    goal_of,
    is_checked,
    is_finished,
    is_hopeless,
    is_looked_at,
    job_s,
    why_unprofiled,
)
from harness.experiment.listener import Listener
from harness.experiment.plan import PlannedSession, PlannedTrial, resolve_contender
from harness.experiment.process import Worker, WorkerError
from harness.experiment.speed import Duel
from harness.measurement.conditions import FOREIGN_SHARE_OF_JOB, ConditionsWatch
from harness.measurement.environment import choose_device
from harness.measurement.nvml import NvmlGpu, NvmlUnavailableError, open_gpu
from harness.measurement.speedometer import Speedometer
from harness.records.checks import EquivalenceRecord, SpeedRecord
from harness.records.files import write_json
from harness.records.machine import SpeedometerReading
from harness.records.spec import TokenizerFacts, TrialSpec
from harness.records.store import CHECKS, COMPILE_CACHES, TRIAL_FILE, read_record
from harness.records.trial import BASELINE, TrialRecord
from harness.strategy import Effect

BASELINE_ATTEMPTS = 2
"""Live baselines that a contender may be timed beside: the first may have been ended by something else."""


class Bench:
    """Runs sessions. As a context it ends the live baseline, whatever happens."""

    def __init__(
        self,
        config: RunConfig,
        trials: list[PlannedTrial],
        directory: Path,
        cache_directory: Path,
        listener: Listener,
        tokenizer: TokenizerFacts | None = None,
        train_windows: int = 0,
    ) -> None:
        self._config = config
        self._trials = list(trials)
        self._directory = directory.resolve()
        self._cache_directory = cache_directory.resolve()
        self._reference_updates = self._directory / CHECKS / "reference.safetensors"
        self._tokenizer = tokenizer
        self._listener = listener
        self._live: Worker | None = None
        self._gpu: NvmlGpu | None = None
        # On a GPU its clock tells the machine's speed.
        self._speedometer = Speedometer() if choose_device(config.device).type == "cpu" else None
        self._watch = ConditionsWatch()
        """Of the present job; its process starts with it."""
        self._readings: list[SpeedometerReading] = []
        """Of the present job."""
        self._audits = Audits(
            config,
            self._directory / CHECKS,
            train_windows=train_windows,
            start_referee=self._start_referee,
            start_twin=lambda name: self._start_worker(name, 0, self._directory / CHECKS / "twin"),
        )

    def __enter__(self) -> Bench:
        """Return the bench itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the live baseline and the referee."""
        self.close_baseline()
        self._audits.close()

    def close_baseline(self) -> None:
        """End the live baseline if there is one."""
        self._drop_live()
        if self._gpu is not None:
            self._gpu.close()
            self._gpu = None

    def _drop_live(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None

    def warm_caches(self) -> None:
        """Start a process of the pinned baseline and let it load all that a job loads; it stays as the referee.

        Program, model and windows then come from memory in every process that is measured; read from the disk, they
        made the first start a second longer than the others.
        """
        self._listener.caches_warmed()
        with suppress(WorkerError):
            worker = self._start_referee()
            try:
                worker.ask(Prepare())
            except WorkerError:
                worker.close()
                raise
            self._audits.keep_referee(worker)

    def _announce(self, trial: PlannedTrial) -> None:
        if trial not in self._trials:
            # A further process, planned while the run goes on.
            self._trials.append(trial)
        self._listener.trial_started(trial, 1 + self._trials.index(trial), len(self._trials))

    def run(self, session: PlannedSession) -> None:
        """Run what is not done yet of a session in one process. What fails once fails the trials after it too."""
        pending = []
        for trial in session.trials:
            if is_finished(trial, self._config, self._directory):
                self._announce(trial)
                record = read_record(self._directory / trial.folder / TRIAL_FILE, TrialRecord)
                self._listener.trial_ended(trial, record, resumed=True)
            else:
                pending.append(trial)
        if not pending:
            return
        if session.seed > 0:
            self.close_baseline()
        # If the contender's first job did not end well: what could not run once is not run again.
        first = PlannedTrial(contender=session.contender, kind="job", seed=0)
        path = self._directory / first.folder / TRIAL_FILE
        failure = read_record(path, TrialRecord) if path.exists() else None
        runs_on = ("done", "failed") if first in session.trials else ("done",)
        if failure is not None and failure.status in runs_on:
            failure = None
        worker = None
        try:
            for trial in pending:
                self._announce(trial)
                if failure is None:
                    worker = worker or self._start(session, trial)
                    record = self._run_trial(worker, trial)
                else:
                    record = replace(failure, kind=trial.kind, seed=trial.seed, process=trial.process)
                write_json(self._directory / trial.folder / TRIAL_FILE, record)
                self._listener.trial_ended(trial, record, resumed=False)
                failure = record if record.status != "done" else failure
        finally:
            if worker is not None and session.stays and failure is None:
                self._live = worker
            elif worker is not None:
                worker.close()

    def _start(self, session: PlannedSession, trial: PlannedTrial) -> Worker:
        if self._live is not None:
            try:
                self._live.ask(Rest())
            except WorkerError:
                # It died unseen. Whoever is to be timed beside it starts another one.
                self._drop_live()
        self._readings = []
        self._read_speed()
        self._watch = ConditionsWatch(foreign_share=FOREIGN_SHARE_OF_JOB)
        worker = self._start_worker(session.contender, session.seed, self._directory / trial.folder)
        worker.on_pause = self._read_speed
        return worker

    def _read_speed(self) -> None:
        if self._speedometer is not None:
            self._readings.append(self._speedometer.read())

    def _start_referee(self) -> Worker:
        """Return a worker that computes as the reference does, whatever the run's baseline is."""
        plain = replace(self._config, baseline=BASELINE)
        return self._start_worker(BASELINE, 0, self._directory / CHECKS / "referee", plain)

    def _start_worker(self, contender: str, seed: int, directory: Path, config: RunConfig | None = None) -> Worker:
        spec = TrialSpec(
            contender=contender,
            seed=seed,
            config=config or self._config,
            directory=str(directory),
            cache_directory=str(self._cache_directory),
            compile_cache_directory=str(self._directory / COMPILE_CACHES / contender),
            tokenizer=self._tokenizer,
        )
        return Worker(spec, self._listener.trial_progress)

    def _run_trial(self, worker: Worker, trial: PlannedTrial) -> TrialRecord:
        directory = self._directory / trial.folder
        try:
            if trial.kind == "speed":
                return self._run_speed(worker, trial)
            if trial.kind == "profile":
                reason = why_unprofiled(trial.contender, self._config, self._directory)
                if reason is not None:
                    return TrialRecord(
                        contender=trial.contender, kind=trial.kind, seed=trial.seed, status="done", reason=reason
                    )
                worker.ask(RunProfile(directory=str(directory)))
                return read_record(directory / TRIAL_FILE, TrialRecord)
            desk = self._audits.of_job(trial, most_warm_up_s=job_s(BASELINE, self._directory) or math.inf)
            answer = worker.ask(RunJob(directory=str(directory)), desk)
            elapsed_s = time.time() - worker.started_s
            conditions, contamination = self._watch.finish(allocator_retries=None)
            self._read_speed()
            record = read_record(directory / TRIAL_FILE, TrialRecord)
            audits = None if desk is None else desk.record(record.audits)
            # On a GPU the worker has read the clock.
            readings = tuple(self._readings) or record.speedometer
            return replace(
                record,
                audits=audits,
                clock_error_s=answer.elapsed_s - elapsed_s,
                conditions=conditions,
                contamination=contamination,
                speedometer=readings,
            )
        except WorkerError as error:
            return TrialRecord(
                contender=trial.contender,
                kind=trial.kind,
                seed=trial.seed,
                process=trial.process,
                status="failed",
                reason=str(error),
            )

    def _run_speed(self, worker: Worker, trial: PlannedTrial) -> TrialRecord:
        """Make the checked updates, time, then look at what runs: that needs the profiler; nothing is timed after it.

        Every timed worker has made its updates first, as the live baseline has: what a process has allocated and freed
        before decides how fast it gets memory (see `harness.experiment.heap`), which made processes without it 3.9 %
        slower.
        """
        try:
            # The reference is made while a worker that has just started still imports. If that fails, `_time` sees.
            self._live_baseline()
        except WorkerError:
            self._drop_live()
        ready = worker.ask(Prepare())
        record = TrialRecord(
            contender=trial.contender, kind="speed", seed=trial.seed, process=trial.process, status="done"
        )
        if ready.refusal is not None:
            return replace(record, status="not_applicable", reason=ready.refusal)
        is_open = not is_hopeless(trial.contender, self._directory)
        equivalence = self._make_updates(worker, trial) if is_open else None
        audits = self._audits.of_segments(trial, worker) if is_open else None
        speed, problem = self._time(worker, ready, trial, audits)
        audited = None if audits is None else audits.record()
        record = replace(record, reason=problem, speed=speed, equivalence=equivalence, audits=audited)
        if not is_looked_at(trial, self._config):
            return record
        try:
            return replace(record, footprint=worker.ask(TakeFootprint()))
        except WorkerError as error:
            # The contender has failed; what was timed stays on disk.
            return replace(record, status="failed", reason=str(error))

    def _make_updates(self, worker: Worker, trial: PlannedTrial) -> EquivalenceRecord | None:
        """Have the worker make its updates, and compare the first process's with the reference's if it claims those.

        None if nothing claims to be the reference, or no baseline lived to make it. Peers keep no gradients.
        """
        strategies = resolve_contender(self._config, trial.contender)
        if any(strategy.is_peer for strategy in strategies):
            return None
        is_compared = is_checked(self._config, trial.contender)
        path = self._directory / CHECKS / f"{trial.contender}.safetensors"
        worker.on_progress("equivalence check", 0, 1)
        try:
            worker.ask(SaveUpdates(path=str(path), of_reference=False))
        except WorkerError:
            if is_compared:
                raise
            # No claim of its fails: they were its history only.
            return None
        compared = None
        if is_compared and trial.process == 1 and self._reference_updates.exists():
            lowers = any(strategy.effect is Effect.LOWER_PRECISION for strategy in strategies)
            reference, given = load_updates(self._reference_updates), load_updates(path)
            compared = compare_updates(reference, given, lowers_precision=lowers)
        path.unlink()
        return compared

    def _time(
        self, worker: Worker, ready: Readiness, trial: PlannedTrial, audits: SegmentAudits | None
    ) -> tuple[SpeedRecord | None, str | None]:
        """Time the worker beside the live baseline; the second value says why that could not be done.

        A baseline that fails says nothing of the contender, so another one takes its place, once.
        """
        problem, goal = None, goal_of(trial, self._config, self._directory)
        if self._gpu is None and ready.gpu_uuid is not None:
            with suppress(NvmlUnavailableError):
                self._gpu = open_gpu(ready.gpu_uuid)
        for _ in range(BASELINE_ATTEMPTS):
            try:
                baseline = self._live_baseline()
                duel = Duel(baseline, worker, self._config, goal, self._gpu, audits, self._speedometer)
                return replace(duel.measure(worker.on_progress), live_started_s=baseline.started_s), None
            except WorkerError as error:
                if error.worker is not self._live:
                    raise
                self._drop_live()
                problem = f"not timed, as the baseline beside it failed {BASELINE_ATTEMPTS} times: {error}"
        return None, problem

    def _live_baseline(self) -> Worker:
        """Return the live baseline with its reference made, started now if a run goes on after an interruption."""
        has_history = self._live is not None and self._reference_updates.exists()
        if self._live is None:
            # The job's own log and specification stay as they are.
            self._live = self._start_worker(BASELINE, 0, self._directory / CHECKS / "live-baseline")
            self._live.ask(Prepare())
        if not has_history:
            self._live.ask(SaveUpdates(path=str(self._reference_updates), of_reference=True))
        return self._live
