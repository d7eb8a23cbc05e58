"""Several claims at once: families of hypotheses, and claims that need every part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
