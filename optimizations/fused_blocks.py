"""Fused transformer blocks.

What it changes: in each block of BERT and DistilBERT query, key and value come from one matrix product; softmax with
dropout, bias with GELU, and bias with dropout, residual and norm are one C++ kernel each, forward and backward, and so
is dropout elsewhere. Attention goes through the windows one by one and never looks at padded keys; dropout masks come
from a hash and are made again for the backward pass. The kernels (`native/`) are built by the system's compiler for
this processor when first used, and kept in a cache.
Why it is faster: PyTorch takes 8 ns to draw one element of a dropout mask, the kernels less than 0.4; values cross
memory once per kernel and not once per operator.
When it is not: the matrix products stay what they were and are most of the step; a job of seconds does not earn the
build back (about 3 s, cold). On CUDA, where `compile` fuses the same chains, it does not apply.
What it does to the numbers: the same formulas, in float32 (in bfloat16 under autocast, residuals included); GELU stays
the exact one; dropout draws other random numbers.
Predicted: at most 1.45 times the step rate in float32, where the padded products alone take 1 / 1.45 of the step.
Measured on one Zen 3 core (AVX2, float32, DistilBERT's sizes, 8 real windows of 153 tokens on average, dropout kept,
alternated in one process): 1.42 over the padded baseline; 3.3 with `unpadded`, which is 1.05 over `unpadded` alone; 3.5
with `fused_adamw` too, at 91 % of the rate of large products, on useful tokens. In bfloat16 (two Zen 5 cores,
AVX512-BF16, batch 16, steps of `unpadded+amp_bf16+fused_adamw`): 1.3 times the rate without it; of a step products take
71 %, attention 13 %, other kernels 5 %, Adam and clipping 4 %.
Sources: Dao et al. 2022 (arXiv 2205.14135): masks made again, not kept; Cephes (S. Moshier): exp; lowbias32
(C. Wellons): the hash; PyTorch documentation, "Extending torch.autograd".
"""

from __future__ import annotations

import itertools
import platform
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import StrategyError
from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup
from optimizations.native.attention import Segment
from optimizations.native.block import lay_side_by_side, run_block
from optimizations.native.dropout import FusedDropout
from optimizations.native.kernels import load_library
from optimizations.native.layers import PATHS, BlockLayers, find_encoder


def find_segments(count: int, length: int, mask: Tensor | None, cu_seqlens: Tensor | None = None) -> list[Segment]:
    """Return the segments of a batch (count, length): the windows between `cu_seqlens` if it is packed, else its rows.

    `mask` is what transformers gives its blocks: (count, 1 or more, length, length), boolean or additive (0 where a key
    is attended to), the same for every query. StrategyError if it hides more than padding on the right.
    """
    if cu_seqlens is not None:
        borders = itertools.pairwise(cu_seqlens.tolist())
        return [Segment(first=first, queries=end - first, keys=end - first) for first, end in borders]
    keys = [length] * count
    if mask is not None:
        attended = mask if mask.dtype == torch.bool else mask == 0
        lengths = attended[:, :1, :1].sum(-1, keepdim=True)
        if not torch.equal(attended, (torch.arange(length) < lengths).expand_as(attended)):
            raise StrategyError("fused_blocks needs windows that are padded on the right only", remedy="leave it out")
        keys = lengths.flatten().tolist()
    return [Segment(first=row * length, queries=length, keys=kept) for row, kept in enumerate(keys)]


def fuse_blocks(model: nn.Module) -> int:
    """Make every block of a BERT or DistilBERT run fused, in place, and all other dropout; return how many blocks."""
    found = find_encoder(model)
    if found is None:
        raise StrategyError(f"{type(model).__name__} has no blocks that can be fused", remedy="use BERT or DistilBERT")
    kind, encoder = found
    run_encoder = encoder.forward

    def forward(hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any) -> Any:
        count, length = hidden_states.shape[:2]
        segments = find_segments(count, length, attention_mask, kwargs.get("cu_seqlens"))
        # The encoder hands to its blocks what it takes for the mask.
        return run_encoder(hidden_states, segments, *args, **kwargs)

    encoder.forward = forward
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                fused = FusedDropout(child.p)
                fused.training = child.training
                setattr(parent, name, fused)
    for block in encoder.layer:
        layers = BlockLayers(**{name: attrgetter(path)(block) for name, path in PATHS[kind].items()})
        lay_side_by_side((layers.query, layers.key, layers.value))
        block.forward = partial(run_block, layers)
    return len(encoder.layer)


@register
class FusedBlocks(Strategy):
    """One QKV product; softmax+dropout, bias+GELU and bias+dropout+residual+norm in one C++ kernel each."""

    name = "fused_blocks"
    summary = "One QKV product; softmax, GELU, norm and dropout fused in C++ kernels"
    effect = Effect.SAME_MATH
    stage = Stage.MODEL
    addresses = ("small_kernels", "elementwise", "eager_attention", "slow_products")
    devices = ("cpu",)
    elsewhere = "its kernels are written for processors, on others compile fuses the same"
    conflicts = ("bf16_weights", "compile", "compile_cached")

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Only for BERT and DistilBERT in float32, and where the kernels can be built."""
        model, config = setup.model, getattr(setup.model, "config", None)
        if find_encoder(model) is None:
            return f"{type(model).__name__} is neither a BERT nor a DistilBERT encoder"
        activation = getattr(config, "activation", None) or getattr(config, "hidden_act", None)
        if activation != "gelu":
            return f"its kernels compute the exact GELU, the model's activation is {activation}"
        types = {parameter.dtype for parameter in model.parameters()}
        if types != {torch.float32}:
            return f"its kernels take float32 weights, the model's are {', '.join(sorted(map(str, types)))}"
        reason = super().not_applicable(setup)
        if reason is not None:
            return reason
        on_x86 = platform.machine().lower() in ("x86_64", "amd64")
        if on_x86 and torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX"):
            return "its kernels need vector instructions (AVX2) that this processor lacks, or PyTorch does not use"
        try:
            load_library()
        except StrategyError as error:
            return str(error)
        return None

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Replace the forward passes of the blocks in place."""
        count = fuse_blocks(setup.model)
        built = load_library().build
        when = "from the cache" if built.time_s is None else f"built in {built.time_s:.1f} s"
        knob = f"{count} fused, C++ kernels by {built.compiler}, {when}"
        return setup.with_knobs({"blocks": knob})
