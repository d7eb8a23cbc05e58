"""Where DistilBERT and BERT have their blocks, and the layers of a block under the same names for both."""

from __future__ import annotations

from collections.abc import Callable
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
    attention_output_dropout: nn.Dropout | None
    """None where the model has none."""
    attention_norm: nn.LayerNorm
    inner: nn.Linear
    outer: nn.Linear
    outer_dropout: nn.Dropout
    outer_norm: nn.LayerNorm
    heads: int


def distilbert_layers(block: Any) -> BlockLayers:
    """Return the layers of a DistilBERT block; it has no dropout after attention."""
    attention, ffn = block.attention, block.ffn
    return BlockLayers(
        query=attention.q_lin,
        key=attention.k_lin,
        value=attention.v_lin,
        attention_dropout=attention.dropout,
        attention_output=attention.out_lin,
        attention_output_dropout=None,
        attention_norm=block.sa_layer_norm,
        inner=ffn.lin1,
        outer=ffn.lin2,
        outer_dropout=ffn.dropout,
        outer_norm=block.output_layer_norm,
        heads=attention.n_heads,
    )


def bert_layers(block: Any) -> BlockLayers:
    """Return the layers of a BERT block."""
    attention, attention_output = block.attention.self, block.attention.output
    return BlockLayers(
        query=attention.query,
        key=attention.key,
        value=attention.value,
        attention_dropout=attention.dropout,
        attention_output=attention_output.dense,
        attention_output_dropout=attention_output.dropout,
        attention_norm=attention_output.LayerNorm,
        inner=block.intermediate.dense,
        outer=block.output.dense,
        outer_dropout=block.output.dropout,
        outer_norm=block.output.LayerNorm,
        heads=attention.num_attention_heads,
    )


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The module that runs the blocks one after the other, and how to read a block."""

    module: Any
    layers_of: Callable[[Any], BlockLayers]


ENCODERS = {"distilbert": ("transformer", distilbert_layers), "bert": ("encoder", bert_layers)}
"""Type of the model → what it calls its encoder, and how to read a block."""


def find_encoder(model: Any) -> Encoder | None:
    """Return the encoder of a BERT or DistilBERT, None for other models."""
    config = getattr(model, "config", None)
    kind = getattr(config, "model_type", None)
    base = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if kind not in ENCODERS or base is None or getattr(config, "is_decoder", False):
        return None
    name, layers_of = ENCODERS[kind]
    return Encoder(module=getattr(base, name), layers_of=layers_of)
