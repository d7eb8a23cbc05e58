"""What kind of work an operator or a kernel does, by its name, and for attention by its shapes.

How an operator is classified (`classify_operator`):

- `aten::` operators by the tables below; in-place forms (`add_`), `_out`, `_forward` and `_backward` forms like the
  plain one; autograd nodes (`AddmmBackward0`) like the operator whose derivative they are.
- Attention is what runs in a fused attention operator, and in eager attention the softmax, both products, scaling,
  mask and dropout between them: products and element-wise operators on tensors with the batch and heads of a softmax's
  input (`AttentionShapes`). Where no softmax is to be seen (compiled code), all batched products are attention's.
- Look-ups of rows (embeddings, gathers) and fills count as copies: they only move data.
- None means "no work of its own" (views, allocation) or "unknown": such an operator belongs to what called it, and
  without a caller to "other".

Kernels (`classify_kernel`) are told by patterns over the names of cuBLAS(Lt), cutlass, cuDNN, flash and
memory-efficient attention, ATen's own kernels, and Triton's, which carry the names of the operators fused in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import prod

from harness.analysis.trace.model import Category
from harness.analysis.trace.read import Shape

_OPERATORS: dict[Category, str] = {
    "matmul": """
        mm addmm bmm baddbmm addbmm matmul linear addmv mv dot vdot ger outer einsum chain_matmul _scaled_mm
        _addmm_activation mkldnn_linear mkldnn_matmul _linear_pointwise _convolution convolution conv1d conv2d conv3d
        convolution_overrideable mkldnn_convolution cudnn_convolution _convolution_pointwise""",
    "attention": """
        scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention
        _scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention
        _scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable _fused_sdp_choice
        _flash_attention _efficient_attention _cudnn_attention _native_multi_head_attention flex_attention
        softmax _softmax _softmax_backward_data _safe_softmax _masked_softmax _varlen_attn""",
    "loss": """
        cross_entropy_loss nll_loss nll_loss_nd nll_loss2d log_softmax _log_softmax _log_softmax_backward_data
        logsumexp binary_cross_entropy binary_cross_entropy_with_logits mse_loss l1_loss smooth_l1_loss huber_loss
        kl_div""",
    "optimizer": """
        _fused_adamw _fused_adam _fused_sgd _fused_adagrad _amp_foreach_non_finite_check_and_unscale
        _amp_update_scale _foreach_addcdiv _foreach_addcmul _foreach_lerp _foreach_norm""",
    "copies": """
        copy _to_copy to clone contiguous cat concat stack fill zero zeros zeros_like new_zeros ones ones_like full
        full_like new_full lift_fresh pin_memory _pin_memory repeat constant_pad_nd pad roll flip split_with_sizes_copy
        embedding embedding_dense index_select gather index index_put _index_put_impl index_copy index_add scatter
        scatter_add masked_select masked_scatter take_along_dim select_backward slice_backward select_scatter
        _foreach_copy""",
    "elementwise": """
        add sub rsub mul div neg pow exp log log1p expm1 erf sqrt rsqrt abs sign square reciprocal floor ceil round
        clamp clamp_min clamp_max maximum minimum where masked_fill eq ne lt gt le ge logical_and logical_or logical_not
        bitwise_and bitwise_or bitwise_not bitwise_xor isnan isfinite isinf remainder floor_divide addcmul addcdiv
        lerp threshold hardtanh relu gelu tanh sigmoid silu softplus elu leaky_relu prelu mish glu dropout
        native_dropout _fused_dropout feature_dropout bernoulli uniform normal rand randn rand_like randn_like random
        randint exponential sum mean var std var_mean max min amax amin argmax argmin any all prod norm
        linalg_vector_norm cumsum layer_norm native_layer_norm rms_norm _fused_rms_norm batch_norm native_batch_norm
        cudnn_batch_norm group_norm native_group_norm instance_norm avg_pool2d max_pool2d adaptive_avg_pool2d sort
        topk arange tril triu""",
}

_CATEGORY_OF: dict[str, Category] = {name: category for category, names in _OPERATORS.items() for name in names.split()}
_CATEGORY_OF_NODE: dict[str, Category] = {name.replace("_", ""): category for name, category in _CATEGORY_OF.items()}

CASTS = frozenset({"aten::to", "aten::_to_copy"})
"""All that runs inside is a copy, even in attention: autocast's casts must not hide there."""

SOFTMAX = frozenset({"aten::_softmax", "aten::_safe_softmax", "aten::_masked_softmax"})

_BATCHED_PRODUCTS = frozenset({"aten::bmm", "aten::baddbmm"})

_ENGINE = "autograd::engine::evaluate_function: "
_NODE = re.compile(r"(\w+?)Backwards?(\d*)$")
"""PyTorch's own nodes have a number; a user's `autograd.Function` has none."""

_FORMS = re.compile(r"(_backward_data|_backward|_forward|_out)$")

_MOVES = r"_?to_copy|copy_?|clone|cat|view|_unsafe_view|transpose|permute|expand|t"

_KERNELS: tuple[tuple[Category, str], ...] = (
    ("other", r"nccl"),
    ("loss", r"nll_?loss|cross_?entropy|log_?softmax|softmax_warp_\w+<[^>]*?\d+, true"),
    ("copies", r"multi_tensor_apply.*CopyFunctor"),
    ("optimizer", r"multi_tensor_apply|adam|fused_?sgd|^triton_for_|amp_(foreach|update_scale)"),
    ("attention", r"flash|fmha|attention|attn|sdpa|softmax"),
    ("copies", rf"^(triton_[a-z]+|cpp)_fused(_({_MOVES}))+_\d+"),
    ("matmul", r"^triton_tem_"),
    ("elementwise", r"^(triton_[a-z]+|cpp)_fused"),
    ("copies", r"memcpy|memset|copy_kernel|_copy\b|CatArrayBatched|FillFunctor|nchwToNhwc|nhwcToNchw"),
    ("matmul", r"gemm|gemv|cutlass|nvjet|xmma|split_?k|cublas|dgrad|wgrad|fprop|convolve|conv\d?d|dot_kernel"),
    ("matmul", r"matmul|linear"),
    ("copies", r"indexSelect|embedding|gather|scatter|index_(elementwise|put|get)|indexing_backward|transpose"),
    ("elementwise", r"elementwise|layer_?norm|GammaBeta|rms_?norm|batch_?norm|bn_(fw|bw)|RowwiseMoments"),
    ("elementwise", r"reduce|dropout|gelu|relu|distribution|philox"),
)
"""The first pattern that is found decides. Fused kernels of inductor carry operators' names, so they come early; their
matrix products are only those made from a template (`triton_tem_`), or calls of a library."""


@lru_cache(maxsize=65536)
def classify_operator(name: str) -> Category | None:
    """Return what an operator or autograd node does; None if it does no work of its own, or is unknown."""
    bare = name.removeprefix(_ENGINE)
    if node := _NODE.match(bare):
        return _CATEGORY_OF_NODE.get(node[1].lower()) or (None if node[2] else _tell_unknown(node[1]))
    namespace, _, base = bare.rpartition("::")
    if namespace == "torch::autograd":
        return None
    base = base.rstrip("_")
    category = _CATEGORY_OF.get(base) or _CATEGORY_OF.get(_FORMS.sub("", base))
    if category is None and base.startswith("_foreach"):
        return "optimizer"
    return _tell_unknown(base) if category is None and namespace != "aten" else category


def _tell_unknown(name: str) -> Category | None:
    """Take the patterns for kernels to an operator that is not PyTorch's."""
    category = classify_kernel(name)
    return None if category == "other" else category


@lru_cache(maxsize=65536)
def classify_kernel(name: str) -> Category:
    """Return what a kernel (or a copy on the device) does, by its name alone; "other" if no pattern fits."""
    return next((category for category, pattern in _KERNELS if re.search(pattern, name, re.IGNORECASE)), "other")


class AttentionShapes:
    """The shapes by which eager attention is told from other products and element-wise work.

    Scores are (batch, heads, length, length): what a softmax over three or more dimensions takes. Their products run
    on (batch × heads, …, …), everything between on (batch, heads, …, …).
    """

    def __init__(self, softmax_inputs: Iterable[Shape]) -> None:
        self.scores = {shape for shape in softmax_inputs if len(shape) >= 3}
        self._heads = {shape[:-2] for shape in self.scores}
        self._products = {prod(heads) for heads in self._heads}

    def cover(self, name: str, category: Category | None, shapes: tuple[Shape, ...]) -> bool:
        """Whether an operator of this category on tensors of these shapes is a part of attention."""
        if category == "matmul" and not (shapes and self.scores):
            return name in _BATCHED_PRODUCTS
        if category == "matmul":
            batched = (len(shape) == 3 and shape[0] in self._products for shape in shapes)
            return any(batched) or any(map(self._has_heads, shapes))
        if category == "elementwise":
            return any(shape in self.scores or self._has_heads(shape) for shape in shapes)
        return False

    def _has_heads(self, shape: Shape) -> bool:
        return len(shape) >= 4 and shape[:-2] in self._heads
