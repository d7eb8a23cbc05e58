"""Floating-point operations of useful work, from the model's sizes and the windows' lengths.

Counted as Kaplan et al. 2020 (arXiv 2001.08361, section 2.1) and Chowdhery et al. 2022 (PaLM, arXiv 2204.02311,
appendix B) do: multiplications and additions of the matrix products only, padding and recomputation left out. One
token costs 2 per weight of a linear map; attention's two products, QKᵀ and the weighted sum of the values, cost 2 L²
times the hidden size each. The backward pass costs twice the forward pass. Looking embeddings up costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

TRAINING_FACTOR = 3.0
"""Forward once, and twice as much backward: gradients of the inputs and of the weights."""

ANSWER_LOGITS = 2
"""Outputs of the question-answering head for each token: start and end."""


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """What the work of a BERT-like encoder with a question-answering head depends on."""

    hidden_size: int
    layers: int
    intermediate_size: int

    @property
    def linear_weights(self) -> int:
        """Weights of all linear maps: queries, keys, values and output, the MLP's two, the head."""
        layer = 4 * self.hidden_size**2 + 2 * self.hidden_size * self.intermediate_size
        return self.layers * layer + ANSWER_LOGITS * self.hidden_size


@dataclass(frozen=True, kw_only=True)
class LengthSums:
    """Sums over windows of their lengths L without padding."""

    tokens: float
    """Σ L."""
    squared_tokens: float
    """Σ L²."""


def read_model_sizes(sizes: Mapping[str, int]) -> ModelSizes | None:
    """Return the sizes that a run recorded; None if it knew none."""
    names = [field.name for field in fields(ModelSizes)]
    return ModelSizes(**{name: sizes[name] for name in names}) if all(name in sizes for name in names) else None


def read_length_sums(data: Mapping[str, Any], part: str) -> LengthSums | None:
    """Return the sums of "train" or "validation" that a run recorded; None if there are none."""
    tokens, squared = data.get(f"{part}_tokens"), data.get(f"{part}_squared_tokens")
    return LengthSums(tokens=tokens, squared_tokens=squared) if tokens and squared else None


def inference_flops(sizes: ModelSizes, lengths: LengthSums) -> float:
    """Return the operations of one forward pass over all windows."""
    linear = 2.0 * sizes.linear_weights * lengths.tokens
    attention = 4.0 * sizes.layers * sizes.hidden_size * lengths.squared_tokens
    return linear + attention
