"""The plan of a run: which trials, which of them share a process, in which order; what a contender consists of."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from harness.config import RunConfig
from harness.records.trial import BASELINE, TrialKind
from harness.registry import resolve
from harness.strategy import StartUp, Strategy


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """One trial to run."""

    contender: str
    kind: TrialKind
    seed: int
    process: int = 1
    """Of timed segments: which of the contender's processes."""

    @property
    def folder(self) -> str:
        """Its directory, relative to the run directory: `trials/<contender>/<k>` with seed, "speed", "speed-2", …, or
        "profile" as k.
        """
        last = str(self.seed) if self.kind == "job" else self.kind
        return f"trials/{self.contender}/{last}" + (f"-{self.process}" if self.process > 1 else "")


@dataclass(frozen=True, kw_only=True)
class PlannedSession:
    """Trials of one contender that one process runs, in this order: what is profiled comes after what is timed."""

    contender: str
    seed: int
    trials: tuple[PlannedTrial, ...]
    stays: bool = False
    """The process lives on as the live baseline, beside which the contenders are timed."""


def order_contenders(names: tuple[str, ...]) -> list[str]:
    """Return the contenders with the baseline first, each once; StrategyError for unknown names or bad stacks."""
    cleaned = [re.sub(r"\s*\+\s*", "+", name.strip()) for name in names]
    for name in cleaned:
        resolve(name)
    return list(dict.fromkeys([BASELINE, *cleaned]))


def plan_sessions(config: RunConfig) -> list[PlannedSession]:
    """Return the processes of a run: the baseline that stays, A/A, each contender's first job with its evidence.

    Without timed segments no baseline has to stay. Further seeds follow, their contenders in alternating order so that
    drift of the machine cancels.
    """
    contenders = order_contenders(config.contenders)
    wanted: dict[TrialKind, bool] = {"speed": config.speed.enabled, "profile": config.profile.enabled}
    after_job = tuple(kind for kind, is_wanted in wanted.items() if is_wanted)
    sessions = []
    if config.speed.enabled:
        job = PlannedTrial(contender=BASELINE, kind="job", seed=0)
        sessions.append(PlannedSession(contender=BASELINE, seed=0, trials=(job,), stays=True))
    for name in contenders:
        is_live = name == BASELINE and config.speed.enabled
        kinds = after_job if is_live else ("job", *after_job)
        trials = tuple(PlannedTrial(contender=name, kind=kind, seed=0) for kind in kinds)
        if trials:
            sessions.append(PlannedSession(contender=name, seed=0, trials=trials))
    for seed in range(1, config.seeds):
        for name in contenders if seed % 2 == 0 else reversed(contenders):
            trial = PlannedTrial(contender=name, kind="job", seed=seed)
            sessions.append(PlannedSession(contender=name, seed=seed, trials=(trial,)))
    return sessions


def resolve_contender(config: RunConfig, contender: str) -> list[Strategy]:
    """Return the strategies of a contender; those of the baseline are none, or what the configuration says."""
    return resolve(config.baseline if contender == BASELINE else contender)


def variables_of(config: RunConfig, *contenders: str) -> dict[str, str]:
    """Return the environment variables that contenders need set before their process starts."""
    strategies = [strategy for name in contenders for strategy in resolve_contender(config, name)]
    return {name: value for strategy in strategies for name, value in strategy.process_environment().items()}


def start_up_of(strategies: list[Strategy]) -> StartUp:
    """Return what the strategies of a contender ask for together."""
    return functools.reduce(StartUp.joined, (strategy.start_up for strategy in strategies), StartUp())
