"""The head of classification: one row of logits for each text, read at its first token, and the loss over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from harness.data.batching import Batch
from harness.data.packing import NO_LABEL, is_packed
from harness.tasks.sequence_classification.windows import LABEL

HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "distilbert": lambda model, first: model.classifier(model.dropout(model.pre_classifier(first).relu())),
    # The pooler reads the first token of each row.
    "bert": lambda model, first: model.classifier(model.dropout(model.bert.pooler(first[:, None]))),
}
"""By `model_type`: what transformers' models do with the hidden state of a text's first token."""


def read_logits(model: Any, batch: Batch, longest: int) -> tuple[Tensor, ...]:
    """Return float32 (texts, classes); in a packed batch a text's first token stands where the text begins."""
    if not is_packed(batch):
        return (model(**batch.inputs).logits.float(),)
    hidden = model.base_model(**batch.inputs)[0][0]
    first = hidden.index_select(0, batch.inputs["cu_seqlens"][:-1])
    return (HEADS[model.config.model_type](model, first).float(),)


def class_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the mean cross-entropy over the texts."""
    return functional.cross_entropy(read_logits(model, batch, 0)[0], batch.labels[LABEL], ignore_index=NO_LABEL)


def head_parameters(hidden_size: int, classes: int | None) -> int:
    """Return how many elements the head has: a square layer, and one output for each class."""
    return hidden_size * hidden_size + hidden_size + (classes or 2) * (hidden_size + 1)
