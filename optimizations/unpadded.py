"""No padding: a batch is one row of tokens.

What it changes: the windows of a batch stand one after the other in one row, attention stays inside each of them, and
position numbers start again with each. On CUDA in half precision attention is the variable-length flash kernel; in
fp32, which that kernel does not take, attention alone works on padded rows. On processors it goes through the windows
one by one, softmax and dropout written out, as SDPA with dropout falls back to slow code there. Evaluation runs packed
too. Same windows in each update, dropout kept.
Why it is faster: half of the baseline's tokens are padding with SQuAD at length 384, and attention's scores shrink with
the square. Predicted before measuring: 2.4 times the baseline's step rate on DistilBERT, 3.0 on MiniLM; measured over 3
and 4 steps on one core of an AVX2 processor in fp32: 2.6 (two of the six layers) and 4.2. H100:
in stacks only, where the flash kernels take 0.61 ms of a step of 5.3 ms; their outputs and gradients are those of plain
attention (tests/gpu).
When it is not: where windows fill the length anyway; small batches on GPUs, which wait for launches, in fp32 above all.
What it does to the numbers: nothing: logits and gradients are the padded path's but for rounding, dropout draws other
random numbers. With `training.loss_over = row` padding is a part of the loss, so it does not apply.
Sources: Krell et al. 2021 (arXiv 2107.02027): packing; Dao et al. 2022 (arXiv 2205.14135): flash attention;
transformers documentation, "Attention interface".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup, make_packing_collate, row_slots, unpack

MODEL_TYPES = ("bert", "distilbert")
"""Models that hand `cu_seqlens` through to their attention and count positions from 0."""

MIN_FLASH_CAPABILITY = (8, 0)
"""Compute capability that PyTorch's flash kernels need (Ampere)."""


def attend(
    query: Tensor, key: Tensor, value: Tensor, *, scaling: float, dropout: float, mask: Tensor | None = None
) -> Tensor:
    """Return softmax(query·keyᵀ·scaling + mask) · value, dropout on the softmax; all (…, heads, tokens, d)."""
    scores = (query * scaling) @ key.transpose(-2, -1)
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    return (functional.dropout(weights, dropout) if dropout > 0 else weights) @ value


def attend_one_by_one(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, *, longest: int, scaling: float, dropout: float
) -> Tensor:
    """Attention window by window. The lengths themselves are read, on the host: for processors."""
    if torch.compiler.is_compiling():
        # Not as a decorator: that would import the compiler into every process.
        apart = torch.compiler.disable(attend_one_by_one)  # type: ignore[no-untyped-call]
        given = (query, key, value, cu_seqlens)
        output: Tensor = apart(*given, longest=longest, scaling=scaling, dropout=dropout)
        return output
    lengths = cu_seqlens.diff().tolist()
    # One split has one backward pass; slices would each make a gradient as large as the whole row.
    parts = zip(*(tensor.split_with_sizes(lengths, dim=2) for tensor in (query, key, value)), strict=True)
    return torch.cat([attend(*part, scaling=scaling, dropout=dropout).transpose(1, 2) for part in parts], dim=1)


FLASH_ARGUMENTS = (
    "query",
    "key",
    "value",
    "cum_seq_q",
    "cum_seq_k",
    "max_q",
    "max_k",
    "dropout_p",
    "is_causal",
    "return_debug_mask",
    "scale",
)
"""Arguments of the flash operator that `attend_with_flash` gives, in its order."""


def attend_with_flash(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, *, longest: int, scaling: float, dropout: float
) -> Tensor:
    """Attention by PyTorch's variable-length flash kernel: CUDA, fp16 or bf16; other types as padded rows."""
    if query.dtype not in (torch.float16, torch.bfloat16):
        return attend_in_rows(query, key, value, cu_seqlens, longest=longest, scaling=scaling, dropout=dropout)
    tensors = [_token_major(tensor) for tensor in (query, key, value)]
    given = (*tensors, cu_seqlens, cu_seqlens, longest, longest, dropout, False, False, scaling)
    output: Tensor = torch.ops.aten._flash_attention_forward(**dict(zip(FLASH_ARGUMENTS, given, strict=True)))[0]
    return output[None]


def attend_in_rows(
    query: Tensor, key: Tensor, value: Tensor, cu_seqlens: Tensor, *, longest: int, scaling: float, dropout: float
) -> Tensor:
    """Attention over padded rows, by SDPA: for what the flash kernel does not take."""
    queries, keys, values = (
        unpack(_token_major(tensor), cu_seqlens, length=longest, fill=0.0).transpose(1, 2)
        for tensor in (query, key, value)
    )
    real = torch.arange(longest, device=query.device) < cu_seqlens.diff()[:, None]
    output = functional.scaled_dot_product_attention(
        queries, keys, values, attn_mask=real[:, None, None, :], dropout_p=dropout, scale=scaling
    ).transpose(1, 2)
    slots = row_slots(cu_seqlens, tokens=query.shape[2], length=longest)
    return output.flatten(0, 1).index_select(0, slots)[None]


def _token_major(tensor: Tensor) -> Tensor:
    """(1, heads, T, d) → (T, heads, d)."""
    return tensor[0].transpose(0, 1)


AttendPacked = Callable[..., Tensor]
"""(query, key, value, cu_seqlens, longest=…, scaling=…, dropout=…), all (1, heads, T, d) → (1, T, heads, d)."""

ATTENTIONS: dict[str, AttendPacked] = {
    "packed_one_by_one": attend_one_by_one,
    "packed_in_rows": attend_in_rows,
    "packed_varlen": attend_with_flash,
}
"""Attention functions of packed batches, under the names that transformers and the report know them by.

No name may hold "flash": transformers takes any such one for a package of kernels, and looks for it."""


def choose_attention(device: torch.device, head_size: int) -> str:
    """Return which of `ATTENTIONS` is right for a device: PyTorch's flash kernel on GPUs, if it runs as called here.

    The operator is internal to PyTorch and has changed its arguments before, so they are looked at.
    """
    if device.type == "cpu":
        return "packed_one_by_one"
    operator = getattr(torch.ops.aten, "_flash_attention_forward", None)
    fits = head_size % 8 == 0 and head_size <= 256
    if device.type != "cuda" or not torch.backends.cuda.is_flash_attention_available() or not fits or operator is None:
        return "packed_in_rows"
    arguments = {argument.name: argument.has_default_value() for argument in operator.default._schema.arguments}
    required = {name for name, has_default in arguments.items() if not has_default}
    new_enough = torch.cuda.get_device_capability(device) >= MIN_FLASH_CAPABILITY
    return "packed_varlen" if new_enough and required <= set(FLASH_ARGUMENTS) <= set(arguments) else "packed_in_rows"


def set_packed_attention(model: Any, name: str, *, longest: int) -> None:
    """Make a model attend by `ATTENTIONS[name]` where a batch is packed, eagerly where it is padded.

    A model of transformers looks its functions up in a table of the library, any other in its own.

    `longest`: tokens that a window can have; how long the longest of a batch is only the device knows.
    """
    attend_packed = ATTENTIONS[name]

    def attention(
        _module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        scaling: float,
        dropout: float = 0.0,
        cu_seqlens: Tensor | None = None,
        **_: Any,
    ) -> tuple[Tensor, None]:
        if cu_seqlens is None:
            padded = attend(query, key, value, scaling=scaling, dropout=dropout, mask=attention_mask)
            return padded.transpose(1, 2).contiguous(), None
        return attend_packed(query, key, value, cu_seqlens, longest=longest, scaling=scaling, dropout=dropout), None

    own = getattr(model, "attention_functions", None)
    if own is not None:
        own[name] = attention
    else:
        from transformers import AttentionInterface, AttentionMaskInterface

        AttentionInterface.register(name, attention)
        AttentionMaskInterface.register(name, packed_mask)
    model.set_attn_implementation(name)


def packed_mask(*, attention_mask: Tensor | None = None, **given: Any) -> Tensor | None:
    """Return the eager mask of a padded batch; None for a packed one, which has no `attention_mask`.

    Left to itself, transformers 5.17 makes a (tokens, tokens) mask for a packed row while a CUDA graph is captured.
    """
    if attention_mask is None:
        return None
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    mask: Tensor | None = ALL_MASK_ATTENTION_FUNCTIONS["eager"](attention_mask=attention_mask, **given)
    return mask


@register
class Unpadded(Strategy):
    """Packed batches, attention inside each window."""

    name = "unpadded"
    summary = "Each batch one row of tokens without padding"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL
    addresses = ("padding_waste", "eager_attention", "copies")
    conflicts = ("dynamic_padding", "length_bucketing", "sdpa")

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Models must hand `cu_seqlens` to their attention and take position numbers; the loss must not see padding."""
        model_type = getattr(getattr(setup.model, "config", None), "model_type", type(setup.model).__name__)
        if model_type not in MODEL_TYPES:
            return f"packed batches are written for {' and '.join(MODEL_TYPES)} models, this one is {model_type}"
        if setup.training.loss_over != "window":
            return "the loss runs over padding too (training.loss_over = row), which would not be there"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Pack batches and switch the model's attention; loss and logits are the task's, which reads packed rows."""
        model: Any = setup.model
        head_size = model.config.hidden_size // model.config.num_attention_heads
        name = choose_attention(setup.device, head_size)
        set_packed_attention(model, name, longest=setup.max_length)
        packed = replace(setup, collate=make_packing_collate(setup.collate))
        return packed.with_knobs({"padding": "none, one packed row"})
