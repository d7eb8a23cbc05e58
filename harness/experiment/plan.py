"""The plan of a run: which trials, which of them share a process, in which order; what a contender consists of."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

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


def plan_first_seed(config: RunConfig) -> list[PlannedSession]:
    """Return the processes that come first: the baseline that stays, each contender's job with its evidence, and A/A
    spread between them, so that it sees the machine's drift too.

    Without timed segments no baseline has to stay. What else is timed is decided by what these show: see
    `harness.experiment.budget`.
    """
    baseline, *others = order_contenders(config.contenders)
    profile: tuple[TrialKind, ...] = ("profile",) if config.profile.enabled else ()
    if not config.speed.enabled:
        return [_session(name, "job", *profile) for name in (baseline, *others)]
    sessions = [replace(_session(baseline, "job"), stays=True)]
    restarts = config.speed.restarts
    after = [round((number - 1) * len(others) / max(1, restarts - 1)) for number in range(1, restarts + 1)]
    for position in range(len(others) + 1):
        for number in (number for number, place in enumerate(after, start=1) if place == position):
            # What is profiled comes last: nothing is timed in that process afterwards, nor beside the baseline's last.
            sessions.append(_session(baseline, "speed", *(profile if number == restarts else ()), process=number))
        sessions += [_session(name, "job", "speed", *profile) for name in others[position : position + 1]]
    return sessions


def _session(contender: str, *kinds: TrialKind, process: int = 1) -> PlannedSession:
    numbers = {"speed": process}
    trials = [PlannedTrial(contender=contender, kind=kind, seed=0, process=numbers.get(kind, 1)) for kind in kinds]
    return PlannedSession(contender=contender, seed=0, trials=tuple(trials))


def plan_process(contender: str, process: int) -> PlannedSession:
    """Return a further process of timed segments."""
    return _session(contender, "speed", process=process)


def plan_other_seeds(config: RunConfig) -> list[PlannedSession]:
    """Return the jobs of further seeds, contenders in alternating order so that drift of the machine cancels."""
    contenders = order_contenders(config.contenders)
    return [
        PlannedSession(contender=name, seed=seed, trials=(PlannedTrial(contender=name, kind="job", seed=seed),))
        for seed in range(1, config.seeds)
        for name in (contenders if seed % 2 == 0 else reversed(contenders))
    ]


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
