"""Frozen lower layers.

What it changes: embeddings and the lower half of the transformer blocks are not trained.
Why it is faster: backward ends at the lowest trained block, so half the blocks have no backward pass, which is two
thirds of a block's work; and the optimizer has less than half the parameters.
When it is not: it always is faster; the question is what is lost.
What it does to the numbers: another model: the lower blocks keep their pretrained values. EM and F1 decide, over seeds;
short fine-tunings change the upper layers most. With random weights it makes no sense.
Sources: Lee et al. 2019 (arXiv 1911.03090); Merchant et al. 2020 (arXiv 2004.14448): fine-tuning and the layers.
"""

from __future__ import annotations

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup
from optimizations.compile import repeated_blocks
from optimizations.frozen_embeddings import embeddings_of, freeze


@register
class FrozenLowerLayers(Strategy):
    """Embeddings and half the blocks keep their pretrained values."""

    name = "frozen_lower_layers"
    summary = "Embeddings and the lower half of the blocks are not trained"
    effect = Effect.NEW_MODEL
    stage = Stage.MODEL
    conflicts = ("frozen_embeddings",)

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """There must be embeddings and blocks."""
        if embeddings_of(setup.model) is None or len(repeated_blocks(setup.model)) < 2:
            return f"{type(setup.model).__name__} has no embeddings and blocks under names that are known"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Freeze them in place."""
        blocks = repeated_blocks(setup.model)
        lower = blocks[: len(blocks) // 2]
        count = freeze(embeddings_of(setup.model), *lower)
        what = f"embeddings and {len(lower)} of {len(blocks)} blocks, {count:,} parameters"
        return setup.with_knobs({"frozen": what})
