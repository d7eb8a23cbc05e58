"""The phases of a job, as reports call and group them."""

from __future__ import annotations

from collections.abc import Mapping

PHASE_WORDS = {
    "process_start": "process start", "imports": "imports", "cuda_start": "CUDA start",
    "load_data": "load data", "tokenise": "tokenise",
    "load_model": "load model", "apply_strategies": "apply strategies", "warm_up": "warm-up and compile",
    "training": "training", "evaluation": "evaluation (forward)", "span_search": "span search",
    "scoring": "scoring (EM, F1)", "saving": "saving", "other": "other",
}  # fmt: skip
"""In the order of a job."""

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


def group_phases(phases_s: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each group of phases that occurs, in the order of a job, "other" last."""
    of_phase = {phase: group for group, phases in PHASE_GROUPS.items() for phase in phases}
    grouped: dict[str, float] = {}
    for phase, time_s in phases_s.items():
        group = of_phase.get(phase, "other")
        grouped[group] = grouped.get(group, 0.0) + time_s
    return {group: grouped[group] for group in (*PHASE_GROUPS, "other") if group in grouped}
