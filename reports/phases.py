"""The phases of a job, as reports call and group them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import takewhile

from harness.analysis.model import ContenderAnalysis

SPANS = "span search and scoring"

PHASE_GROUPS = {
    "start, imports": ("process_start", "imports", "cuda_start"),
    "data and model": ("load_data", "tokenise", "load_model"),
    "warm-up and compile": ("apply_strategies", "warm_up"),
    "training": ("training",),
    "evaluation (forward)": ("evaluation",),
    SPANS: ("span_search", "scoring"),
    "saving": ("saving",),
}
"""What tables and figures show as one; every other phase is "other"."""


def phase_words(titles: Sequence[str]) -> dict[str, str]:
    """Return what phases are called where the name alone does not say it; `titles` are the metrics'."""
    return {
        "cuda_start": "CUDA start",
        "warm_up": "warm-up and compile",
        "evaluation": "evaluation (forward)",
        "scoring": f"scoring ({', '.join(titles)})" if titles else "scoring",
    }


def phase_groups(occurred: Container[str]) -> dict[str, tuple[str, ...]]:
    """Return the groups of phases by name; a task without spans searches none."""
    return {
        "scoring" if name == SPANS and "span_search" not in occurred else name: phases
        for name, phases in PHASE_GROUPS.items()
    }


def training_start_s(phases_s: Mapping[str, float]) -> float:
    """Return when training begins, in seconds since the start of the process."""
    return sum(phases_s[name] for name in takewhile(lambda name: name != "training", phases_s))


def group_phases(contenders: Sequence[ContenderAnalysis]) -> dict[str, list[float | None]]:
    """Return the seconds of each contender in each group, in the order of a job, "other" last.

    None where nothing of the group occurred; a group that occurred nowhere is left out.
    """
    groups = phase_groups({name for contender in contenders for name in contender.phases_s})
    known = {name for phases in groups.values() for name in phases}
    others = {name: None for contender in contenders for name in contender.phases_s if name not in known}
    times_s = {
        group: [
            sum(found) if (found := [time_s for name, time_s in c.phases_s.items() if name in phases]) else None
            for c in contenders
        ]
        for group, phases in (*groups.items(), ("other", tuple(others)))
    }
    return {group: times for group, times in times_s.items() if any(time_s is not None for time_s in times)}
