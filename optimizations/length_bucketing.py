"""Batches of windows of similar length.

What it changes: each epoch the windows are shuffled, cut into mega-batches of 50 batches, and sorted by length within
each; the batches then come in random order, padded to their longest window. Every window comes once an epoch.
Why it is faster: hardly any padding is left: 3 % of the useful tokens on 969 windows of SQuAD in batches of 16, against
87 % in random order. Predicted before measuring: 2.1 times the baseline's step rate on DistilBERT, 2.5 on MiniLM;
measured over 3 and 4 steps on one core of an AVX2 processor in fp32: 2.5 (two of the six layers) and 3.5. GPU: not
measured.
When it is not: on little data, where a mega-batch is few batches (48 % padding on 32 windows). Timed segments are such
little data on slow machines, so that there its step speedup comes out lower than the job's.
What it does to the numbers: another order: the windows of an update are alike in length, and so is its noise. With
`training.loss_over = row` the loss changes too, as padding is a part of it.
Sources: transformers `LengthGroupedSampler`; Khomenko et al. 2017 (arXiv 1708.05604): bucketing by length.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup, Windows, make_trimming_collate

MEGABATCH = 50
"""Batches that are drawn at random together and then sorted by length; transformers' `LengthGroupedSampler` has 50."""


def plan_bucketed_batches(windows: Windows, training: Any, seed: int, epoch: int) -> list[np.ndarray]:
    """Return the epoch's batches, each of windows of similar length; they depend on seed and epoch only."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(windows))
    size = training.batch_size
    batches: list[np.ndarray] = []
    for start in range(0, len(order), MEGABATCH * size):
        mega = order[start : start + MEGABATCH * size]
        mega = mega[np.argsort(windows.lengths[mega], kind="stable")]
        batches += [mega[first : first + size] for first in range(0, len(mega), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


@register
class LengthBucketing(Strategy):
    """Similar lengths together, padded to the longest of them."""

    name = "length_bucketing"
    summary = "Batches of similar length, padded to their longest window"
    effect = Effect.NEW_SCHEDULE
    stage = Stage.DATA
    addresses = ("padding_waste",)
    conflicts = ("dynamic_padding",)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Plan by length and cut the columns that are padding in every row."""
        bucketed = replace(setup, plan_batches=plan_bucketed_batches, collate=make_trimming_collate(setup.collate))
        order = f"random, sorted by length within {MEGABATCH} batches"
        return bucketed.with_knobs({"padding": "to the batch's longest window", "order": order})
