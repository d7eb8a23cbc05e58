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

from optimizations.lean.config import complete_config
from optimizations.native.layers import ENCODERS, BlockLayers, read_layers

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


def make_distilbert_block(config: Any) -> Block:
    """Return a block of DistilBERT, without weights yet."""
    width, inner = config.dim, config.hidden_dim
    attention: Any = Group(
        **{name: Linear(width, width) for name in ("q_lin", "k_lin", "v_lin", "out_lin")},
        dropout=nn.Dropout(config.attention_dropout),
    )
    attention.n_heads = config.n_heads
    ffn = Group(dropout=nn.Dropout(config.dropout), lin1=Linear(width, inner), lin2=Linear(inner, width))
    norms = [nn.LayerNorm(width, eps=NORM_EPSILON) for _ in range(2)]
    return Block(attention=attention, sa_layer_norm=norms[0], ffn=ffn, output_layer_norm=norms[1])


def make_bert_block(config: Any) -> Block:
    """Return a block of BERT, without weights yet."""
    width, inner = config.hidden_size, config.intermediate_size

    def output_of(inputs: int) -> Group:
        norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        return Group(dense=Linear(inputs, width), LayerNorm=norm, dropout=nn.Dropout(config.hidden_dropout_prob))

    heads: Any = Group(
        **{name: Linear(width, width) for name in ("query", "key", "value")},
        dropout=nn.Dropout(config.attention_probs_dropout_prob),
    )
    heads.num_attention_heads = config.num_attention_heads
    attention = Group(self=heads, output=output_of(width))
    return Block(attention=attention, intermediate=Group(dense=Linear(width, inner)), output=output_of(inner))


BLOCKS = {"distilbert": make_distilbert_block, "bert": make_bert_block}


class LeanModel(nn.Module):
    """A question-answering model; a stand-in for transformers' of the same kind."""

    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        kind = config["model_type"]
        self.given_config = config
        self.config = complete_config(config)
        width, is_bert = self.config.hidden_size, kind == "bert"
        types = {"token_type_embeddings": Embedding(self.config.type_vocab_size, width)} if is_bert else {}
        embeddings = Embeddings(
            word_embeddings=Embedding(self.config.vocab_size, width, padding_idx=self.config.pad_token_id),
            position_embeddings=Embedding(self.config.max_position_embeddings, width),
            **types,
            LayerNorm=nn.LayerNorm(width, eps=self.config.layer_norm_eps if is_bert else NORM_EPSILON),
            dropout=nn.Dropout(self.config.hidden_dropout_prob if is_bert else self.config.dropout),
        )
        blocks = [BLOCKS[kind](self.config) for _ in range(self.config.num_hidden_layers)]
        for block in blocks:
            block.layers = read_layers(kind, block)
        base = {"embeddings": embeddings, ENCODERS[kind]: Encoder(layer=nn.ModuleList(blocks))}
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
