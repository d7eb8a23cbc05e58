"""What a config.json says of a model: its defaults, the variants that are written here, and either kind's names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

AUTO_CLASS = "AutoModelForQuestionAnswering"
"""The models of transformers that this one stands in for."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "distilbert": {
        "vocab_size": 30522, "max_position_embeddings": 512, "n_layers": 6, "n_heads": 12, "dim": 768,
        "hidden_dim": 3072, "dropout": 0.1, "attention_dropout": 0.1, "qa_dropout": 0.1, "activation": "gelu",
        "initializer_range": 0.02, "pad_token_id": 0, "sinusoidal_pos_embds": False,
    },
    "bert": {
        "vocab_size": 30522, "max_position_embeddings": 512, "num_hidden_layers": 12, "num_attention_heads": 12,
        "hidden_size": 768, "intermediate_size": 3072, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu", "initializer_range": 0.02, "pad_token_id": 0, "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
    },
}  # fmt: skip
"""What transformers assumes of fields that a config.json leaves out."""

COMMON_NAMES = {
    "hidden_size": "dim", "intermediate_size": "hidden_dim", "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads", "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}  # fmt: skip
"""BERT's name of a field → DistilBERT's. Whoever reads a configuration may use either."""

PLAIN = {
    "sinusoidal_pos_embds": False, "is_decoder": False, "add_cross_attention": False, "activation": "gelu",
    "hidden_act": "gelu", "chunk_size_feed_forward": 0, "num_labels": 2, "position_embedding_type": "absolute",
}  # fmt: skip
"""Values that these fields must have, where they are: other variants are not written here."""


class Config(SimpleNamespace):
    """A configuration, its fields as attributes."""

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the fields; in transformers those that are not the default's, which tell models apart as well."""
        return dict(vars(self))


def refuse_config(config: dict[str, Any]) -> str | None:
    """Return in words why a model of this configuration is not written here; None if it is."""
    if config.get("model_type") not in DEFAULTS:
        return f"it is written for DistilBERT and BERT, this model is of the type {config.get('model_type')}"
    others = [name for name, value in PLAIN.items() if config.get(name, value) != value]
    return f"the model's {others[0]} is {config[others[0]]!r}, which it does not know" if others else None
