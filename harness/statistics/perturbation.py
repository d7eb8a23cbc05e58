"""Vectors beside vectors that scatter: is one of them one more draw, and does a mean of deviations shrink?

All is computed from inner products, so that vectors of millions of numbers never come here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MOST_ENUMERATED = 16384
"""Arrangements that are gone through one by one; of more, as many are drawn."""

SEED = 0
"""Of those draws: the same records give the same p-value."""

INVARIANT_SHARE = 1e-4
"""Share of the whole scatter below which a part's is rounding alone: its true value is 0 whatever is drawn."""

INVARIANT_SCALE = 0.02
"""Share of the whole scatter that the deviation of such a part is measured against."""


def part_scales(scatter: np.ndarray) -> np.ndarray:
    """Return what deviations of each part are measured against: its own scatter, or, where an invariance makes it 0,
    a share of the whole.

    An attention's key bias moves all scores of a query by the same, the bias of an answer head all logits: softmax does
    not see it, and the gradient is rounding, of any size beside its own scatter. Seen on the bundled encoder: 1e-9 to
    3e-8 of the whole scatter, every other tensor 2e-3 and more.
    """
    whole = math.sqrt(float((scatter**2).sum()))
    return np.where(scatter < INVARIANT_SHARE * whole, INVARIANT_SCALE * whole, scatter)


def scatter_ratios(products: np.ndarray) -> np.ndarray:
    """Return for each of the vectors with these inner products its squared distance from the mean of the others, ÷ what
    that is on average if all are draws of one distribution: s²·(1 + 1/K), with s² from the K others.

    1 on average for every draw of one distribution. One that lies elsewhere is above 1, one that lacks the scatter of
    the others below: the mean itself gets 1 / (K + 1).
    """
    count = len(products)
    ratios = []
    for one in range(count):
        others = np.arange(count) != one
        inner = products[np.ix_(others, others)]
        mean = inner.mean()
        distance = products[one, one] - 2.0 * products[one, others].mean() + mean
        variance = (np.trace(inner) - (count - 1) * mean) / (count - 2)
        ratios.append(distance / max(variance * (1.0 + 1.0 / (count - 1)), 1e-300))
    return np.maximum(ratios, 1e-300)


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Vectors of a contender, each held against draws of its own, over all of them."""

    ratio: float
    """Geometric mean of their ratios: 1 if they scatter as the draws do."""
    p_more: float
    """Chance of so large a one if each were one of its draws."""
    p_less: float
    groups: int


def pool_ratios(groups: Sequence[np.ndarray]) -> Scatter:
    """Return the test of several groups of ratios, in each of which the contender's stands first.

    If the contender's vector is one more draw, each of a group's is as likely to stand first. So the mean log ratio is
    compared with what it is when in every group any one stands first: a permutation test (Fisher 1935; Good 2005,
    Permutation, Parametric and Bootstrap Tests of Hypotheses, 3), exact for vectors of any distribution. With n groups
    of K draws no p-value is below (K + 1)^−n.
    """
    logs = [np.log(ratios) for ratios in groups]
    found = float(np.mean([values[0] for values in logs]))
    arrangements = math.prod(len(values) for values in logs)
    if arrangements <= MOST_ENUMERATED:
        sums = np.zeros(1)
        for values in logs:
            sums = (sums[:, None] + values[None, :]).ravel()
        extra = 0
    else:
        rng = np.random.default_rng(SEED)
        sums = sum((rng.choice(values, MOST_ENUMERATED) for values in logs), start=np.zeros(MOST_ENUMERATED))
        # The arrangement that was found is one of them (Phipson and Smyth 2010).
        extra = 1
    means, slack = sums / len(logs), 1e-9
    return Scatter(
        ratio=math.exp(found),
        p_more=(extra + int((means >= found - slack).sum())) / (extra + len(means)),
        p_less=(extra + int((means <= found + slack).sum())) / (extra + len(means)),
        groups=len(groups),
    )


@dataclass(frozen=True, kw_only=True)
class MeanDeviation:
    """Deviations with these inner products: how large one is, and how large what they have in common."""

    size: float
    """Root mean square of a deviation's norm."""
    common: float
    """Norm of what all have in common, estimated without bias from pairs of different ones (0 if that is negative)."""
    common_at_most: float
    """Upper end of its one-sided interval at 1 − alpha: a jackknife over the deviations."""
    p_value: float
    """Chance of so large a mean if each deviation were as likely to point the other way."""
    count: int


def assess_mean(products: np.ndarray, *, alpha: float) -> MeanDeviation:
    """Return whether the mean of n deviations shrinks as that of unrelated ones does, by √n.

    ‖Σd‖² = Σ‖d‖² if they are unrelated, and up to n times as much if they are all alike. The test turns the sign of
    each deviation in all ways (Fisher 1935, randomisation test for symmetry): exact if a deviation and its opposite are
    equally likely. The pairs' mean of ⟨dᵢ, dⱼ⟩ is an unbiased estimate of ‖E d‖² (a U-statistic: Hoeffding 1948); its
    standard error is the delete-one jackknife's (Arvesen 1969).
    """
    count = len(products)
    pairs = products - np.diag(np.diag(products))
    common_sq = float(pairs.sum()) / (count * (count - 1))
    without = (pairs.sum() - 2.0 * pairs.sum(axis=0)) / ((count - 1) * (count - 2)) if count > 2 else np.full(2, np.nan)
    error = math.sqrt(float((count - 1) / count * ((without - without.mean()) ** 2).sum()))
    reach = float(stats.t.ppf(1.0 - alpha, count - 1)) * error
    signs = _sign_patterns(count)
    sums = ((signs @ products) * signs).sum(axis=1)
    extra = 0 if len(signs) == 2 ** (count - 1) else 1
    more = int((sums >= products.sum() * (1.0 - 1e-9)).sum())
    return MeanDeviation(
        size=math.sqrt(float(np.trace(products)) / count),
        common=math.sqrt(max(common_sq, 0.0)),
        common_at_most=math.sqrt(max(common_sq, 0.0) + reach) if math.isfinite(reach) else math.inf,
        p_value=(extra + more) / (extra + len(signs)),
        count=count,
    )


def _sign_patterns(count: int) -> np.ndarray:
    """Return all patterns of signs up to their opposite, or so many random ones."""
    if 2 ** (count - 1) <= MOST_ENUMERATED:
        numbers = np.arange(2 ** (count - 1))
        bits = (numbers[:, None] >> np.arange(count)[None, :]) & 1
        return 1.0 - 2.0 * bits
    return np.random.default_rng(SEED).choice([-1.0, 1.0], size=(MOST_ENUMERATED, count))
