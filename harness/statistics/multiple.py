"""Several claims at once: families of hypotheses, and claims that need every part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from harness.statistics.paired import CONFIDENCE


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's adjusted p-values, keys in their order.

    Rejecting those below alpha keeps the chance of any false rejection in the family at alpha, whatever their
    dependence (Holm 1979, Scandinavian Journal of Statistics 6:65-70).
    """
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(ordered):
        highest = max(highest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}


def intersection_union(p_values: Iterable[float]) -> float:
    """Return the p-value of a claim that needs every part to be shown: the largest (Berger 1982, Technometrics 24)."""
    return max(p_values)


def alpha_of_look(alpha: float, look: int) -> float:
    """Return the error rate that may be spent when the same data, and more, are judged for the `look`-th time.

    The shares 6/(πk)² of all looks add up to 1, so however often a run is extended and judged again, and whatever
    made somebody do it, the chance that any look claims what is not true stays below alpha. A spending function (Lan
    and DeMets 1983, Biometrika 70:659-663) that needs no plan of how many looks there will be, with Bonferroni's
    bound over the looks, which needs nothing of how they depend on each other.
    """
    return alpha * 6.0 / (math.pi * look) ** 2


def claim_level(alpha: float, contenders: int) -> float:
    """Return the one-sided p-value below which a speedup is claimed whatever other contenders show.

    Holm's first step, and the whole 95 % interval must lie beyond, so that no word contradicts it.
    """
    return min((1.0 - CONFIDENCE) / 2.0, alpha / contenders)
