"""The phases of a job, as reports call and group them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

PHASE_WORDS = {
    "cuda_start": "CUDA start",
    "warm_up": "warm-up and compile",
    "evaluation": "evaluation (forward)",
    "scoring": "scoring (EM, F1)",
}
"""Where the name alone does not say it."""

PHASE_GROUPS = {
    "start, imports": ("process_start", "imports", "cuda_start"),
    "data and model": ("load_data", "tokenise", "load_model", "apply_strategies"),
    "warm-up and compile": ("warm_up",),
    "training": ("training",),
    "evaluation (forward)": ("evaluation",),
    "span search and scoring": ("span_search", "scoring"),
    "saving": ("saving",),
}
"""What tables and figures show as one; every other phase is "other"."""


def training_start_s(phases_s: Mapping[str, float]) -> float:
    """Return when training begins, in seconds since the start of the process."""
    return sum(phases_s[name] for name in takewhile(lambda name: name != "training", phases_s))


def group_phases(phases_s: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each group of phases that occurs, in the order of a job, "other" last."""
    of_phase = {phase: group for group, phases in PHASE_GROUPS.items() for phase in phases}
    grouped: dict[str, float] = {}
    for phase, time_s in phases_s.items():
        group = of_phase.get(phase, "other")
        grouped[group] = grouped.get(group, 0.0) + time_s
    return {group: grouped[group] for group in (*PHASE_GROUPS, "other") if group in grouped}
