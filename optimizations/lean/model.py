"""The model: modules under the checkpoint's names, query, key and value as one product."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from optimizations.lean.config import COMMON_NAMES, DEFAULTS, Config
from optimizations.native.layers import ENCODERS, PATHS, BlockLayers

NORM_EPSILON = 1e-12
"""DistilBERT's, whose configuration has no field for it."""


def attend_eagerly(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, scaling: float, dropout: float
) -> tuple[Tensor, None]:
    """Return softmax(query·keyᵀ·scaling + mask)·value as (windows, tokens, heads, d); the rest is (windows, heads, …).

    Signature and result are those of transformers' attention functions, so that a strategy's own serves both.
    """
    scores = query @ key.transpose(-2, -1) * scaling
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    weights = functional.dropout(weights, dropout, module.training)
    return (weights @ value).transpose(1, 2).contiguous(), None


def attend_by_sdpa(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *, scaling: float, dropout: float
) -> tuple[Tensor, None]:
    """As `attend_eagerly`, in one call."""
    attended = None if mask is None else mask == 0
    output = functional.scaled_dot_product_attention(
        query, key, value, attn_mask=attended, dropout_p=dropout, scale=scaling
    )
    return output.transpose(1, 2).contiguous(), None


class Group(nn.Module):
    """Modules under the names that a checkpoint has for them."""

    # BERT has a member that is called "self".
    def __init__(self, /, **members: nn.Module) -> None:
        super().__init__()
        for name, member in members.items():
            self.add_module(name, member)


class Linear(nn.Linear):
    """Made without numbers: they are loaded, or drawn by `draw`.

    On PyTorch's "meta" device nothing is drawn either, but its first use imports the compiler.
    """

    def reset_parameters(self) -> None:
        """Leave the memory as it is."""


class Embedding(nn.Embedding):
    """As `Linear`."""

    def reset_parameters(self) -> None:
        """Leave the memory as it is."""


class Embeddings(Group):
    """Word, position and (BERT) segment vectors, norm, dropout."""

    def forward(self, input_ids: Tensor, position_ids: Tensor | None, token_type_ids: Tensor | None) -> Tensor:
        """Return the hidden states of the tokens, (windows, tokens, hidden)."""
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        members: Any = self
        summed: Tensor = members.word_embeddings(input_ids)
        if hasattr(self, "token_type_embeddings"):
            types = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
            summed = summed + members.token_type_embeddings(types)
        hidden: Tensor = members.dropout(members.LayerNorm(summed + members.position_embeddings(position_ids)))
        return hidden


class Block(Group):
    """One transformer block, norms after the residuals."""

    attend: Callable[..., tuple[Tensor, None]] = staticmethod(attend_eagerly)
    layers: BlockLayers

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **packed: Any) -> Tensor:
        """Return the next hidden states; `packed` holds what tells windows apart where a batch is one row."""
        layers = self.layers
        # One product; the weights are laid side by side anew each time.
        maps = (layers.query, layers.key, layers.value)
        weight, bias = torch.cat([one.weight for one in maps]), torch.cat([one.bias for one in maps])
        joined = functional.linear(hidden_states, weight, bias)
        # Split along the last dimension: backward joins three dense gradients, which has a fast kernel on CUDA.
        parts = torch.split(joined, joined.shape[-1] // 3, dim=-1)
        heads = (*hidden_states.shape[:2], layers.heads, -1)
        query, key, value = (part.view(heads).transpose(1, 2) for part in parts)
        dropout = layers.attention_dropout.p if self.training else 0.0
        scaling = query.shape[-1] ** -0.5
        attended, _ = self.attend(self, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **packed)
        attended = layers.attention_output(attended.flatten(-2))
        if layers.attention_output_dropout is not None:
            attended = layers.attention_output_dropout(attended)
        hidden = layers.attention_norm(attended + hidden_states)
        inner = functional.gelu(layers.inner(hidden))
        output: Tensor = layers.outer_norm(layers.outer_dropout(layers.outer(inner)) + hidden)
        return output


class Encoder(Group):
    """The blocks, one after the other."""

    layer: nn.ModuleList

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **packed: Any) -> Tensor:
        """Return the last hidden states."""
        for block in self.layer:
            hidden_states = block(hidden_states, attention_mask, **packed)
        return hidden_states


def make_block(config: Any) -> Block:
    """Return a block without weights yet, its layers where checkpoints of its kind have them."""
    width, inner, is_bert = config.hidden_size, config.intermediate_size, config.model_type == "bert"
    epsilon, dropout = config.layer_norm_eps if is_bert else NORM_EPSILON, config.hidden_dropout_prob
    block = Block()
    block.layers = BlockLayers(
        query=Linear(width, width),
        key=Linear(width, width),
        value=Linear(width, width),
        attention_dropout=nn.Dropout(config.attention_probs_dropout_prob),
        attention_output=Linear(width, width),
        attention_output_dropout=nn.Dropout(dropout) if is_bert else None,
        attention_norm=nn.LayerNorm(width, eps=epsilon),
        inner=Linear(width, inner),
        outer=Linear(inner, width),
        outer_dropout=nn.Dropout(dropout),
        outer_norm=nn.LayerNorm(width, eps=epsilon),
        heads=config.num_attention_heads,
    )
    for name, path in PATHS[config.model_type].items():
        *parents, last = path.split(".")
        place: nn.Module = block
        for parent in parents:
            if not hasattr(place, parent):
                place.add_module(parent, Group())
            place = getattr(place, parent)
        setattr(place, last, getattr(block.layers, name))
    return block


class LeanModel(nn.Module):
    """A question-answering model; a stand-in for transformers' of the same kind."""

    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        kind = config["model_type"]
        self.given_config = config
        self.config: Any = Config(**DEFAULTS[kind] | config, _attn_implementation="eager")
        for common, name in COMMON_NAMES.items():
            if not hasattr(self.config, common):
                setattr(self.config, common, getattr(self.config, name))
        width, is_bert = self.config.hidden_size, kind == "bert"
        types = {"token_type_embeddings": Embedding(self.config.type_vocab_size, width)} if is_bert else {}
        embeddings = Embeddings(
            word_embeddings=Embedding(self.config.vocab_size, width, padding_idx=self.config.pad_token_id),
            position_embeddings=Embedding(self.config.max_position_embeddings, width),
            **types,
            LayerNorm=nn.LayerNorm(width, eps=self.config.layer_norm_eps if is_bert else NORM_EPSILON),
            dropout=nn.Dropout(self.config.hidden_dropout_prob),
        )
        blocks = nn.ModuleList(make_block(self.config) for _ in range(self.config.num_hidden_layers))
        base = {"embeddings": embeddings, ENCODERS[kind]: Encoder(layer=blocks)}
        self.base_model_prefix = kind
        self.add_module(kind, Group(**base))
        self.qa_outputs = Linear(self.config.hidden_size, 2)
        self.dropout = nn.Dropout(getattr(self.config, "qa_dropout", 0.0))
        self.attention_functions: dict[str, Callable[..., tuple[Tensor, None]]] = {
            "eager": attend_eagerly,
            "sdpa": attend_by_sdpa,
        }

    @property
    def encoder(self) -> Encoder:
        """The module that runs the blocks."""
        base: Any = getattr(self, self.base_model_prefix)
        encoder: Encoder = getattr(base, ENCODERS[self.base_model_prefix])
        return encoder

    def set_attn_implementation(self, name: str) -> None:
        """Have all blocks attend by one of `attention_functions`."""
        self.config._attn_implementation = name
        for block in self.encoder.layer:
            block.attend = self.attention_functions[name]  # type: ignore[assignment]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **packed: Any,
    ) -> SimpleNamespace:
        """Return `start_logits` and `end_logits`, each (windows, tokens), and with labels the `loss` over the rows."""
        base: Any = getattr(self, self.base_model_prefix)
        hidden = base.embeddings(input_ids, position_ids, token_type_ids)
        mask = None
        if attention_mask is not None:  # 0 where a key is attended to, else the lowest number
            mask = (1 - attention_mask[:, None, None, :]).to(hidden.dtype) * torch.finfo(hidden.dtype).min
        hidden = self.encoder(hidden, mask, **packed)
        starts, ends = (logits.contiguous() for logits in self.qa_outputs(self.dropout(hidden)).unbind(-1))
        if start_positions is None or end_positions is None:
            return SimpleNamespace(start_logits=starts, end_logits=ends)
        losses = [row_loss(starts, start_positions), row_loss(ends, end_positions)]
        return SimpleNamespace(start_logits=starts, end_logits=ends, loss=(losses[0] + losses[1]) / 2)

    def save_pretrained(self, directory: Path) -> None:
        """Write config.json and model.safetensors as transformers reads them."""
        directory.mkdir(parents=True, exist_ok=True)
        config = self.given_config | {"architectures": [ARCHITECTURES[self.base_model_prefix]]}
        (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


ARCHITECTURES = {"distilbert": "DistilBertForQuestionAnswering", "bert": "BertForQuestionAnswering"}
"""What transformers calls them."""


def row_loss(logits: Tensor, positions: Tensor) -> Tensor:
    """Return transformers' own loss: over all places of the rows; a label beyond them doesn't count."""
    beyond = logits.shape[1]
    return functional.cross_entropy(logits, positions.clamp(0, beyond), ignore_index=beyond)
