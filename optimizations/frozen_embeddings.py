"""Frozen embeddings.

What it changes: word, position and type embeddings, and the normalisation right after them, are not trained.
Why it is faster: a word embedding is a third of DistilBERT's parameters, and a batch touches few of its rows; still its
gradient is a dense matrix that is written, clipped and read by the optimizer in every step.
When it is not: where the optimizer is a small share of the step (large batches, fused AdamW).
What it does to the numbers: another model: a third of the parameters keep their pretrained values. EM and F1 decide,
over seeds. With random weights it makes no sense: those embeddings would never learn anything.
Sources: Lee et al. 2019 (arXiv 1911.03090): what fine-tuning needs to change.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup


def embeddings_of(model: Any) -> nn.Module | None:
    """Return the module that turns token numbers into the first hidden states, or None."""
    found = getattr(getattr(model, "base_model", model), "embeddings", None)
    return found if isinstance(found, nn.Module) else None


def freeze(*modules: nn.Module | None) -> int:
    """Take the parameters of those modules that are there out of training; return how many elements that are."""
    parameters = [parameter for module in modules if module is not None for parameter in module.parameters()]
    for parameter in parameters:
        parameter.requires_grad = False
    return sum(parameter.numel() for parameter in parameters)


@register
class FrozenEmbeddings(Strategy):
    """Embeddings keep their pretrained values."""

    name = "frozen_embeddings"
    summary = "Embeddings are not trained"
    effect = Effect.NEW_MODEL
    stage = Stage.MODEL

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """There must be embeddings under a known name."""
        if embeddings_of(setup.model) is None:
            return f"{type(setup.model).__name__} has no module `embeddings` in its encoder"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Freeze them in place."""
        count = freeze(embeddings_of(setup.model))
        return setup.with_knobs({"frozen": f"embeddings, {count:,} parameters"})
