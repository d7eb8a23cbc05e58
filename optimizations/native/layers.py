"""Where DistilBERT and BERT have their blocks, and the layers of a block under the same names for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, kw_only=True)
class BlockLayers:
    """The layers of a block (post-norm, GELU), under the same names for every model."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attention_dropout: nn.Dropout
    attention_output: nn.Linear
    attention_output_dropout: nn.Dropout | None = None
    attention_norm: nn.LayerNorm
    inner: nn.Linear
    outer: nn.Linear
    outer_dropout: nn.Dropout
    outer_norm: nn.LayerNorm
    heads: int


PATHS = {
    "distilbert": {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "attention_dropout": "attention.dropout",
        "attention_output": "attention.out_lin",
        "attention_norm": "sa_layer_norm",
        "inner": "ffn.lin1",
        "outer": "ffn.lin2",
        "outer_dropout": "ffn.dropout",
        "outer_norm": "output_layer_norm",
        "heads": "attention.n_heads",
    },
    "bert": {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_dropout": "attention.self.dropout",
        "attention_output": "attention.output.dense",
        "attention_output_dropout": "attention.output.dropout",
        "attention_norm": "attention.output.LayerNorm",
        "inner": "intermediate.dense",
        "outer": "output.dense",
        "outer_dropout": "output.dropout",
        "outer_norm": "output.LayerNorm",
        "heads": "attention.self.num_attention_heads",
    },
}
"""Type of the model → where in its block each layer is."""

ENCODERS = {"distilbert": "transformer", "bert": "encoder"}
"""Type of the model → what it calls the module that runs the blocks."""


def find_encoder(model: Any) -> tuple[str, Any] | None:
    """Return the type of a BERT or DistilBERT and the module that runs its blocks, None for other models."""
    config = getattr(model, "config", None)
    kind = getattr(config, "model_type", None)
    base = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if kind not in ENCODERS or base is None or getattr(config, "is_decoder", False):
        return None
    return kind, getattr(base, ENCODERS[kind])
