"""What every command of a worker needs first: the clock from its start, data, model, strategies applied."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness.config import RunConfig
from harness.experiment.inputs import Inputs, load_inputs, load_tokenised
from harness.experiment.listener import Report
from harness.experiment.plan import resolve_contender, start_up_of
from harness.measurement.clocks import PhaseClock
from harness.records.spec import TrialSpec
from harness.strategy import StartUp, Strategy, TrainSetup
from harness.tasks import get_task
from harness.training.baseline import build_baseline
from harness.training.loop import set_process_flags
from harness.training.model import check_length, load_model


class TrialClock:
    """The trial's time: from the moment its process was asked for.

    `on_pause` is called where a job pauses for the harness's own purposes; without a parent there is nobody to ask.
    """

    def __init__(self, spawned_at_s: float, on_pause: Callable[[], object] = lambda: None) -> None:
        self.phases = PhaseClock()
        self.excluded_s = 0.0
        """Time that is no part of the job's."""
        self._spawned_at_s = spawned_at_s
        self._on_pause = on_pause

    def elapsed_s(self) -> float:
        """Seconds since the process was asked for."""
        return time.time() - self._spawned_at_s

    def pause(self) -> None:
        """Have the parent see how fast the machine is, between two phases and outside the job's time."""
        start_s = time.perf_counter()
        self._on_pause()
        self.excluded_s += time.perf_counter() - start_s

    def finish(self) -> tuple[float, dict[str, float]]:
        """Return job time and phases; "other" is what no phase covers."""
        job_time_s = self.elapsed_s() - self.excluded_s
        phases_s = dict(self.phases.phases_s)
        phases_s["other"] = max(0.0, job_time_s - sum(phases_s.values()))
        return job_time_s, phases_s


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A trial that is ready to train."""

    setup: TrainSetup
    inputs: Inputs
    strategies: list[Strategy]
    refusal: str | None
    """Why a strategy can't be applied; then the setup is the baseline's."""
    start_up: StartUp
    cache_was_filled: bool
    """Whether there was compiled code before this process compiled any."""


def prepare_setup(spec: TrialSpec, clock: TrialClock, device: torch.device, report: Report) -> Prepared:
    """Load data and model, then apply the contender's strategies; each in its phase."""
    config = spec.config
    strategies = resolve_contender(config, spec.contender)
    start_up = start_up_of(strategies)
    report("loading", 0, 1)
    read_data = start_reading(config, at_once=start_up.read_data_beside_model)
    task = get_task(config.task)
    head = task.head()
    if task.count_classes is not None:
        with clock.phases.measure("load_data"):
            head = task.head(read_data()[0])
    with clock.phases.measure("load_model"):
        model = load_model(config.model, head=head, seed=spec.seed, device=device, loaders=start_up.loaders)
        check_length(model.config, config.data.max_length)
    with clock.phases.measure("load_data"):
        train, validation = read_data()
    with clock.phases.measure("tokenise"):
        known = spec.tokenizer if start_up.tokens_without_tokenizer else None
        inputs = load_tokenised(config, train, validation, Path(spec.cache_directory), known=known)
    setup = build_baseline(config, model=model, pad_id=inputs.tokenizer.pad_id, seed=spec.seed, device=device)
    with clock.phases.measure("apply_strategies"):
        cache = compile_cache_directory(spec)
        was_filled = is_filled(cache)
        setup, refusal = apply_strategies(setup, strategies)
        set_process_flags(setup)
    chosen = compile_cache_directory(spec)
    return Prepared(
        setup=setup,
        inputs=inputs,
        strategies=strategies,
        refusal=refusal,
        start_up=start_up,
        # Some strategies compile while they are applied; one that chose another directory then compiles in warm-up.
        cache_was_filled=was_filled if chosen == cache else is_filled(chosen),
    )


def compile_cache_directory(spec: TrialSpec) -> Path:
    """Return where the compiler caches in this process: the run's directory, unless a strategy chose another."""
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", spec.compile_cache_directory))


def is_filled(directory: Path) -> bool:
    """Whether the directory is there and not empty."""
    return directory.is_dir() and any(directory.iterdir())


def start_reading(config: RunConfig, *, at_once: bool) -> Callable[[], tuple[list[Any], list[Any]]]:
    """Return a function that gives the examples: read when it is first called, or from now on in a thread.

    From the hub they are never read in a thread: that imports libraries, and so does loading a model; two threads
    would see each other's half-made modules.
    """
    if not at_once or config.data.source == "hub":
        return functools.cache(functools.partial(load_inputs, config))
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-data")
    reading = pool.submit(load_inputs, config)
    pool.shutdown(wait=False)
    return reading.result


def apply_strategies(setup: TrainSetup, strategies: list[Strategy]) -> tuple[TrainSetup, str | None]:
    """Apply the strategies in order; the second value says why one can't be applied (then none is)."""
    for strategy in strategies:
        reason = strategy.not_applicable(setup)
        if reason is not None:
            return setup, reason if len(strategies) == 1 else f"{strategy.name}: {reason}"
    for strategy in strategies:
        setup = strategy.apply(setup)
    return setup, None
