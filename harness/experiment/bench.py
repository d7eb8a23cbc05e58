"""The bench: worker processes one after the other, beside a baseline that stays alive to be timed against."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.config import RunConfig
from harness.experiment.commands import Prepare, Readiness, Rest, RunJob, RunProfile, SaveUpdates, TakeFootprint
from harness.experiment.deviation import compare_updates, load_updates
from harness.experiment.listener import Listener
from harness.experiment.plan import PlannedSession, PlannedTrial, resolve_contender
from harness.experiment.process import Worker, WorkerError
from harness.experiment.speed import Duel
from harness.measurement.environment import choose_device
from harness.measurement.nvml import NvmlGpu, NvmlUnavailableError, open_gpu
from harness.measurement.speedometer import Speedometer
from harness.records.checks import SpeedRecord
from harness.records.files import write_json
from harness.records.speedometer import SpeedometerReading
from harness.records.store import TRIAL_FILE, read_record, trial_is_finished
from harness.records.trial import BASELINE, TokenizerFacts, TrialRecord, TrialSpec
from harness.strategy import Effect

COMPILE_CACHES = "compile-cache"
"""Folder for compilers' caches of this run, so that the first compile of a run is a cold one; removed at its end."""

CHECKS = "checks"
"""Folder for tensors of the equivalence checks; removed at the run's end."""


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
    ) -> None:
        self._config = config
        self._trials = trials
        self._directory = directory.resolve()
        self._cache_directory = cache_directory.resolve()
        self._reference_updates = self._directory / CHECKS / "reference.safetensors"
        self._tokenizer = tokenizer
        self._listener = listener
        self._live: Worker | None = None
        self._gpu: NvmlGpu | None = None
        # On a GPU its clock tells the machine's speed.
        self._speedometer = Speedometer() if choose_device(config.device).type == "cpu" else None
        self._readings: list[SpeedometerReading] = []
        """Of the present job."""

    def __enter__(self) -> Bench:
        """Return the bench itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the live baseline."""
        self.close_baseline()

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

    def _announce(self, trial: PlannedTrial) -> None:
        self._listener.trial_started(trial, 1 + self._trials.index(trial), len(self._trials))

    def run(self, session: PlannedSession) -> None:
        """Run what is not done yet of a session in one process. What fails once fails the trials after it too."""
        pending = []
        for trial in session.trials:
            folder = self._directory / trial.folder
            if trial_is_finished(folder):
                self._announce(trial)
                self._listener.trial_ended(trial, read_record(folder / TRIAL_FILE, TrialRecord), resumed=True)
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
                    record = replace(failure, kind=trial.kind, seed=trial.seed)
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
        worker = self._start_worker(session.contender, session.seed, self._directory / trial.folder)
        worker.on_pause = self._read_speed
        return worker

    def _read_speed(self) -> None:
        if self._speedometer is not None:
            self._readings.append(self._speedometer.read())

    def _start_worker(self, contender: str, seed: int, directory: Path) -> Worker:
        spec = TrialSpec(
            contender=contender,
            seed=seed,
            config=self._config,
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
                worker.ask(RunProfile(directory=str(directory)))
                return read_record(directory / TRIAL_FILE, TrialRecord)
            answer = worker.ask(RunJob(directory=str(directory)))
            elapsed_s = time.time() - worker.started_s
            self._read_speed()
            record = read_record(directory / TRIAL_FILE, TrialRecord)
            # On a GPU the worker has read the clock.
            readings = tuple(self._readings) or record.speedometer
            return replace(record, clock_error_s=answer.elapsed_s - elapsed_s, speedometer=readings)
        except WorkerError as error:
            return TrialRecord(
                contender=trial.contender, kind=trial.kind, seed=trial.seed, status="failed", reason=str(error)
            )

    def _run_speed(self, worker: Worker, trial: PlannedTrial) -> TrialRecord:
        """Check first, then time, then look at what runs: that needs the profiler, after which nothing is timed."""
        try:
            # The reference is made while a worker that has just started still imports. If that fails, `_time` sees.
            self._live_baseline()
        except WorkerError:
            self._drop_live()
        ready = worker.ask(Prepare())
        record = TrialRecord(contender=trial.contender, kind="speed", seed=trial.seed, status="done")
        if ready.refusal is not None:
            return replace(record, status="not_applicable", reason=ready.refusal)
        speed, problem = self._time(worker, ready)
        record = replace(record, reason=problem, speed=speed)
        try:
            # None if nothing claims to be the reference, or no baseline lived to make it.
            equivalence = None
            if self._reference_updates.exists() and is_checked(self._config, trial.contender):
                worker.on_progress("equivalence check", 0, 1)
                path = self._directory / CHECKS / f"{trial.contender}.safetensors"
                worker.ask(SaveUpdates(path=str(path), of_reference=False))
                strategies = resolve_contender(self._config, trial.contender)
                lowers = any(strategy.effect is Effect.LOWER_PRECISION for strategy in strategies)
                reference, given = load_updates(self._reference_updates), load_updates(path)
                equivalence = compare_updates(reference, given, lowers_precision=lowers)
                path.unlink()
            footprint = worker.ask(TakeFootprint())
        except WorkerError as error:
            # The contender has failed; what was timed stays on disk.
            return replace(record, status="failed", reason=str(error))
        return replace(record, equivalence=equivalence, footprint=footprint)

    def _time(self, worker: Worker, ready: Readiness) -> tuple[SpeedRecord | None, str | None]:
        """Time the worker beside the live baseline; the second value says why that could not be done.

        A baseline that fails says nothing of the contender, so another one takes its place, once.
        """
        problem = None
        if self._gpu is None and ready.gpu_uuid is not None:
            with suppress(NvmlUnavailableError):
                self._gpu = open_gpu(ready.gpu_uuid)
        for _ in range(BASELINE_ATTEMPTS):
            try:
                baseline = self._live_baseline()
                duel = Duel(baseline, worker, self._config, self._gpu, self._speedometer)
                return duel.measure(worker.on_progress), None
            except WorkerError as error:
                if error.worker is not self._live:
                    raise
                self._drop_live()
                problem = f"not timed, as the baseline beside it failed {BASELINE_ATTEMPTS} times: {error}"
        return None, problem

    def _live_baseline(self) -> Worker:
        """Return the live baseline with its reference made, started now if a run goes on after an interruption."""
        if self._live is None:
            # The job's own log and specification stay as they are.
            self._live = self._start_worker(BASELINE, 0, self._directory / CHECKS / "live-baseline")
            self._live.ask(Prepare())
        if not self._reference_updates.exists():
            self._live.ask(SaveUpdates(path=str(self._reference_updates), of_reference=True))
        return self._live


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
