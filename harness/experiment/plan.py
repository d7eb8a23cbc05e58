"""The plan of a run: which trials, in which order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from harness.config import RunConfig
from harness.records import BASELINE
from harness.registry import resolve

PROFILE_FOLDER = "profile"


@dataclass(frozen=True, kw_only=True)
class PlannedTrial:
    """One trial to run."""

    contender: str
    kind: Literal["job", "profile"]
    seed: int

    @property
    def folder(self) -> str:
        """Its directory, relative to the run directory: `trials/<contender>/<seed or "profile">`."""
        last = PROFILE_FOLDER if self.kind == "profile" else str(self.seed)
        return f"trials/{self.contender}/{last}"


def order_contenders(names: tuple[str, ...]) -> list[str]:
    """Return the contenders with the baseline first, each once; StrategyError for unknown names or bad stacks."""
    cleaned = [re.sub(r"\s*\+\s*", "+", name.strip()) for name in names]
    for name in cleaned:
        resolve(name)
    return list(dict.fromkeys([BASELINE, *cleaned]))


def plan_trials(config: RunConfig) -> list[PlannedTrial]:
    """Return the jobs, seed by seed in alternating order so that drift of the machine cancels, then the profiles."""
    contenders = order_contenders(config.contenders)
    jobs = [
        PlannedTrial(contender=contender, kind="job", seed=seed)
        for seed in range(config.seeds)
        for contender in (contenders if seed % 2 == 0 else reversed(contenders))
    ]
    profiles = [PlannedTrial(contender=contender, kind="profile", seed=0) for contender in contenders]
    return jobs + (profiles if config.profile.enabled else [])
