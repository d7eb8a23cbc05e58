"""A job's seconds cut into disjoint cells, and what is left of them when findings take their parts away (Amdahl)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from harness.analysis.trace.model import Category

Cell = tuple[str, str]
"""(phase, category of the ledger); the category is `WHOLE` where a phase is not divided."""

WHOLE = ""

TRAINING, EVALUATION = "training", "evaluation"
"""Phases of a job that the ledger divides."""

NOT_IN_EVALUATION: tuple[Category, ...] = ("loss", "optimizer", "data")
"""Categories that a forward pass without labels does not have."""

Removal = Mapping[Cell, float]
"""Share of each cell that would be gone, 0 to 1."""


def removed_share(cells: Mapping[Cell, float], removals: Iterable[Removal]) -> float:
    """Return the share of the job that the removals take away together, each part of its time once.

    Two removals of one cell multiply what they leave: padding leaves 47 % of the products, bf16 a quarter of those.
    """
    wanted = list(removals)
    total_s = sum(cells.values())
    left_s = sum(
        time_s * math.prod(1.0 - removal.get(cell, 0.0) for removal in wanted) for cell, time_s in cells.items()
    )
    return 1.0 - left_s / total_s if total_s > 0 else 0.0


def speedup_bound(share: float) -> float:
    """Return the speedup if `share` of the job took no time any more (Amdahl 1967); infinite if that is all of it."""
    return 1.0 / (1.0 - share) if share < 1.0 else math.inf
