"""Sizes of a model under their common names, read off its transformers configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_BERT_NAMES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")

SIZE_NAMES: dict[str, tuple[str, str, str, str]] = {
    "distilbert": ("dim", "n_layers", "n_heads", "hidden_dim"),
    "bert": _BERT_NAMES,
    "roberta": _BERT_NAMES,
    "camembert": _BERT_NAMES,
    "xlm-roberta": _BERT_NAMES,
}
"""By `model_type`: what its configuration calls hidden size, layers, heads and the MLP's inner size.

Only architectures whose layers are those of BERT, weight by weight: others (gated MLPs, shared layers, more products in
attention) use the same names, but their work would be counted wrong."""


def model_sizes(config: Any, *, head_parameters: Callable[[int], int] = lambda _: 0) -> dict[str, int]:
    """Return "hidden_size", "layers", "heads", "intermediate_size" and "parameters"; empty for an unknown architecture.

    `head_parameters` says how many elements a head has on so many features.
    """
    names = SIZE_NAMES.get(config.model_type)
    if names is None:
        return {}
    hidden, layers, heads, intermediate = (int(getattr(config, name)) for name in names)
    tables = config.vocab_size + config.max_position_embeddings + getattr(config, "type_vocab_size", 0)
    norm = 2 * hidden
    embeddings = tables * hidden + norm
    attention = 4 * (hidden * hidden + hidden) + norm
    mlp = 2 * hidden * intermediate + intermediate + hidden + norm
    return {
        "hidden_size": hidden,
        "layers": layers,
        "heads": heads,
        "intermediate_size": intermediate,
        "parameters": embeddings + layers * (attention + mlp) + head_parameters(hidden),
    }
