"""DistilBERT and BERT for question answering, in one file.

What it changes: the model is the one below and not transformers': the same parameters under the checkpoint's names, the
same formulas, and query, key and value as one product. It is loaded from config.json and model.safetensors straight to
the device, and transformers is never imported; a checkpoint that is not laid out so (shards, other names, the hub's
cache) is loaded by transformers and then taken over.
Why it is faster: importing transformers' model classes takes longer than a training of seconds on a fast GPU; one
product for three has fewer launches. Nothing in a forward pass waits for the host: transformers looks at the padding
mask once in each. Measured: see the README, "Start-up".
When it is not: long jobs, where start-up is nothing. The weights of query, key and value are laid side by side in each
forward pass, a copy of 7 MB a layer of 768 features; fused_blocks, which lays them so for good, replaces that.
What it does to the numbers: nothing but rounding: the same formulas, dropout at the same places. What is drawn from the
seed (the answer head, or all of random weights) is what transformers draws.
Sources: Devlin et al. 2019 (arXiv 1810.04805); Sanh et al. 2019 (arXiv 1910.01108); transformers 5, modeling_bert.py
and modeling_distilbert.py, which it is held against in tests.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from harness.registry import register
from harness.strategy import Effect, ModelFiles, Stage, StartUp, Strategy, TrainSetup
from optimizations.native.layers import BlockLayers, bert_layers, distilbert_layers

HEAD = "qa_outputs"

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
    "num_attention_heads": "n_heads",
}  # fmt: skip
"""BERT's name of a size → DistilBERT's. Whoever reads a configuration may use either."""

PLAIN = {
    "sinusoidal_pos_embds": False, "is_decoder": False, "add_cross_attention": False, "activation": "gelu",
    "hidden_act": "gelu", "chunk_size_feed_forward": 0, "num_labels": 2, "position_embedding_type": "absolute",
}  # fmt: skip
"""Values that these fields must have, where they are: other variants are not written here."""


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
        query, key, value = project(hidden_states, layers)
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


def project(hidden_states: Tensor, layers: BlockLayers) -> tuple[Tensor, Tensor, Tensor]:
    """Return query, key and value, each (windows, heads, tokens, d), from one product."""
    maps = (layers.query, layers.key, layers.value)
    weight, bias = torch.cat([one.weight for one in maps]), torch.cat([one.bias for one in maps])
    joined = functional.linear(hidden_states, weight, bias)
    # Split along the last dimension: its backward pass joins three dense gradients, which has a fast kernel on CUDA.
    heads = (*hidden_states.shape[:2], layers.heads, -1)
    parts = torch.split(joined, joined.shape[-1] // 3, dim=-1)
    query, key, value = (part.view(heads).transpose(1, 2) for part in parts)
    return query, key, value


class Encoder(Group):
    """The blocks, one after the other."""

    layer: nn.ModuleList

    def forward(self, hidden_states: Tensor, attention_mask: Tensor | None = None, **packed: Any) -> Tensor:
        """Return the last hidden states."""
        for block in self.layer:
            hidden_states = block(hidden_states, attention_mask, **packed)
        return hidden_states


def make_distilbert(config: Any) -> Group:
    """Return DistilBERT's modules, without weights yet."""
    width, inner = config.dim, config.hidden_dim

    def norm() -> nn.Module:
        return nn.LayerNorm(width, eps=1e-12)

    def block() -> Block:
        attention: Any = Group(
            **{name: Linear(width, width) for name in ("q_lin", "k_lin", "v_lin", "out_lin")},
            dropout=nn.Dropout(config.attention_dropout),
        )
        attention.n_heads = config.n_heads
        ffn = Group(dropout=nn.Dropout(config.dropout), lin1=Linear(width, inner), lin2=Linear(inner, width))
        made = Block(attention=attention, sa_layer_norm=norm(), ffn=ffn, output_layer_norm=norm())
        made.layers = distilbert_layers(made)
        return made

    embeddings = Embeddings(
        word_embeddings=Embedding(config.vocab_size, width, padding_idx=config.pad_token_id),
        position_embeddings=Embedding(config.max_position_embeddings, width),
        LayerNorm=norm(),
        dropout=nn.Dropout(config.dropout),
    )
    blocks = nn.ModuleList([block() for _ in range(config.n_layers)])
    return Group(embeddings=embeddings, transformer=Encoder(layer=blocks))


def make_bert(config: Any) -> Group:
    """Return BERT's modules, without weights yet."""
    width, inner = config.hidden_size, config.intermediate_size

    def norm() -> nn.Module:
        return nn.LayerNorm(width, eps=config.layer_norm_eps)

    def dropout() -> nn.Module:
        return nn.Dropout(config.hidden_dropout_prob)

    def block() -> Block:
        heads: Any = Group(
            **{name: Linear(width, width) for name in ("query", "key", "value")},
            dropout=nn.Dropout(config.attention_probs_dropout_prob),
        )
        heads.num_attention_heads = config.num_attention_heads
        projection = Group(dense=Linear(width, width), LayerNorm=norm(), dropout=dropout())
        attention = Group(self=heads, output=projection)
        output = Group(dense=Linear(inner, width), LayerNorm=norm(), dropout=dropout())
        made = Block(attention=attention, intermediate=Group(dense=Linear(width, inner)), output=output)
        made.layers = bert_layers(made)
        return made

    embeddings = Embeddings(
        word_embeddings=Embedding(config.vocab_size, width, padding_idx=config.pad_token_id),
        position_embeddings=Embedding(config.max_position_embeddings, width),
        token_type_embeddings=Embedding(config.type_vocab_size, width),
        LayerNorm=norm(),
        dropout=dropout(),
    )
    blocks = nn.ModuleList([block() for _ in range(config.num_hidden_layers)])
    return Group(embeddings=embeddings, encoder=Encoder(layer=blocks))


MAKERS: dict[str, Callable[[Any], Group]] = {"distilbert": make_distilbert, "bert": make_bert}


class LeanModel(nn.Module):
    """A question-answering model; a stand-in for transformers' of the same kind."""

    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        kind = config["model_type"]
        self.given_config = config
        self.config = complete_config(config)
        self.base_model_prefix = kind
        self.add_module(kind, MAKERS[kind](self.config))
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
        encoder: Encoder = base.transformer if self.base_model_prefix == "distilbert" else base.encoder
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
        mask = None if attention_mask is None else additive_mask(attention_mask, hidden.dtype)
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


def additive_mask(attention_mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (windows, 1, 1, tokens): 0 where a key is attended to, else the lowest number."""
    return (1 - attention_mask[:, None, None, :]).to(dtype) * torch.finfo(dtype).min


def row_loss(logits: Tensor, positions: Tensor) -> Tensor:
    """Return transformers' own loss: over all places of the rows; a label beyond them doesn't count."""
    beyond = logits.shape[1]
    return functional.cross_entropy(logits, positions.clamp(0, beyond), ignore_index=beyond)


class Config(SimpleNamespace):
    """A configuration, its fields as attributes."""

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the fields; in transformers those that are not the default's, which tell models apart as well."""
        return dict(vars(self))


def complete_config(config: dict[str, Any]) -> Any:
    """Return a configuration with all fields, its sizes under BERT's and DistilBERT's names."""
    complete = Config(**DEFAULTS[config["model_type"]] | config, _attn_implementation="eager")
    for common, name in COMMON_NAMES.items():
        theirs = common if hasattr(complete, common) else name
        setattr(complete, common, getattr(complete, theirs))
    return complete


def refuse_config(config: dict[str, Any]) -> str | None:
    """Return in words why a model of this configuration is not written here; None if it is."""
    if config.get("model_type") not in MAKERS:
        return f"it is written for DistilBERT and BERT, this model is of the type {config.get('model_type')}"
    others = [name for name, value in PLAIN.items() if config.get(name, value) != value]
    return f"the model's {others[0]} is {config[others[0]]!r}, which it does not know" if others else None


def load_lean(files: ModelFiles, seed: int, device: torch.device) -> LeanModel | None:
    """Return the model of these files on `device`, fp32; None if it is of another kind, or the weights lie otherwise.

    What is drawn is drawn on the host, as transformers does, so that every device begins with the same numbers.
    """
    if refuse_config(files.config) is not None:
        return None
    model = LeanModel(files.config)
    deviation = model.config.initializer_range
    torch.manual_seed(seed)
    if files.weights is None:
        # transformers makes the encoder, which draws PyTorch's numbers, then draws its own, then comes the head.
        for part in model.children():
            draw_as_pytorch(part)
            draw(part, deviation)
        return model.to(device)
    draw(model.qa_outputs, deviation)
    try:
        tensors = read_weights(files.weights, model, device)
    except SafetensorError:
        return None  # a damaged file: transformers is asked next, and its error is made one line
    if tensors is None:
        return None
    drawn = {name: value.to(device) for name, value in model.state_dict().items() if name not in tensors}
    model.load_state_dict(drawn | tensors, assign=True)
    return model


def read_weights(path: Path, model: LeanModel, device: torch.device) -> dict[str, Tensor] | None:
    """Return the checkpoint's tensors under the model's names; None unless all but the head's are there, and fit.

    Checkpoints of the encoder alone leave the prefix out.
    """
    found = {}
    with safe_open(path, framework="pt", device=str(device)) as file:
        names = set(file.keys())
        for name, wanted in model.state_dict().items():
            bare = name.removeprefix(f"{model.base_model_prefix}.")
            stored = next((key for key in (name, bare) if key in names), None)
            if stored is None and name.startswith(f"{HEAD}."):
                continue
            if stored is None or file.get_slice(stored).get_shape() != list(wanted.shape):
                return None
            # A copy: on processors the file itself would be mapped into the parameters.
            found[name] = file.get_tensor(stored).to(torch.float32, copy=True)
    return found


def draw(module: nn.Module, deviation: float) -> None:
    """Draw weights as transformers initialises BERT and DistilBERT: normal, biases 0, the padding's vector 0."""
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                part.weight.normal_(std=deviation)
            if isinstance(part, nn.Linear):
                part.bias.zero_()
            elif isinstance(part, nn.Embedding) and part.padding_idx is not None:
                part.weight[part.padding_idx].zero_()


def draw_as_pytorch(module: nn.Module) -> None:
    """Draw the numbers that PyTorch's own modules have when they are made, for those that it takes from the seed."""
    for part in module.modules():
        if isinstance(part, Linear):
            nn.Linear.reset_parameters(part)
        elif isinstance(part, Embedding):
            nn.Embedding.reset_parameters(part)


def take_over(model: Any) -> LeanModel:
    """Return the lean form of a transformers model, with its very parameters; its dropout probabilities too."""
    config = model.config.to_dict()
    lean = LeanModel(config)
    lean.load_state_dict(model.state_dict(), assign=True)
    theirs = dict(model.named_parameters())
    for name, parameter in lean.named_parameters():
        parameter.requires_grad_(theirs[name].requires_grad)
    dropouts = {name: module.p for name, module in model.named_modules() if isinstance(module, nn.Dropout)}
    for name, module in lean.named_modules():
        if isinstance(module, nn.Dropout) and name in dropouts:
            module.p = dropouts[name]
    lean.set_attn_implementation("eager")
    return lean.train(model.training)


@register
class LeanModelStrategy(Strategy):
    """A model of one file."""

    name = "lean_model"
    summary = "DistilBERT or BERT in one file: no import of transformers, one QKV product"
    effect = Effect.SAME_MATH
    stage = Stage.START
    addresses = ("start_up",)
    conflicts = ("gradient_checkpointing",)
    phases = ("imports", "load_model")
    start_up = StartUp(loaders=(load_lean,))

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Other architectures and variants are not written here."""
        config: Any = getattr(setup.model, "config", None)
        if isinstance(setup.model, LeanModel):
            return None
        if config is None:
            return f"{type(setup.model).__name__} has no configuration"
        return refuse_config(config.to_dict())

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Take over the model, unless it was loaded so."""
        model = setup.model if isinstance(setup.model, LeanModel) else take_over(setup.model)
        return replace(setup, model=model, knobs={**setup.knobs, "model": "DistilBERT/BERT in one file, QKV fused"})
