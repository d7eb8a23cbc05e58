"""The C++ kernels as functions of tensors. They compute in float32 on float32 or bfloat16 storage, on processors.

All matrices are contiguous; what a function writes to is named in its docstring. The kernels release the interpreter's
lock and use as many OpenMP threads as PyTorch does, with the same results for any number.
"""

from __future__ import annotations

import ctypes
import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function

from harness.errors import StrategyError
from optimizations.native.build import Build, build

SUFFIXES = {torch.float32: "f32", torch.bfloat16: "bf16"}
"""Storage types and how the kernels for them are named."""

_RANGE = 2**32
"""Of the hash that decides what dropout keeps."""


class Dropout(ctypes.Structure):
    """One random mask: everything that is needed to make it a second time. Layout as in numeric.h."""

    _fields_ = (("seed", ctypes.c_uint64), ("keep_below", ctypes.c_uint32), ("keep_scale", ctypes.c_float))
    seed: int
    keep_below: int
    keep_scale: float


NO_DROPOUT = Dropout(0, 0, 1.0)


def draw_dropout(probability: float) -> Dropout:
    """Return a new mask that drops with `probability`; its seed comes from PyTorch's generator."""
    if not 0.0 <= probability < 1.0:
        raise StrategyError(f"dropout probability {probability} is not in [0, 1)", remedy="check the model's config")
    if probability == 0.0:
        return NO_DROPOUT
    seed = int(torch.randint(2**63 - 1, (), dtype=torch.int64))
    return Dropout(seed, max(1, min(round((1.0 - probability) * _RANGE), _RANGE - 1)), 1.0 / (1.0 - probability))


@dataclass(frozen=True, kw_only=True)
class Library:
    """The loaded kernels."""

    build: Build
    functions: ctypes.CDLL


@functools.cache
def load_library() -> Library:
    """Build the kernels if need be and load them, once per process; StrategyError says why that can't be done."""
    built = build()
    try:
        return Library(build=built, functions=ctypes.CDLL(str(built.path)))
    except OSError as error:
        raise StrategyError(
            f"the C++ kernels in {built.path} can't be loaded: {error}", remedy="delete that file to build them again"
        ) from error


def softmax_dropout(scores: Tensor, dropped: Tensor | None, *, scale: float, dropout: Dropout) -> None:
    """Turn `scores` (…, keys) into softmax(scale · scores) in place; write it with dropout into `dropped`.

    Without dropout `dropped` may be None and is not written.
    """
    _check_like(scores, *([] if dropped is None else [dropped]))
    _call("softmax_dropout", scores, dropped, settings=(ctypes.c_float(scale), dropout))


def softmax_dropout_backward(
    softmax: Tensor, gradient: Tensor, dropped: Tensor | None, *, scale: float, dropout: Dropout
) -> None:
    """Turn `gradient` of the dropped softmax into that of the raw scores in place; make `dropped` again."""
    _check_like(softmax, gradient, *([] if dropped is None else [dropped]))
    _call("softmax_dropout_backward", softmax, gradient, dropped, settings=(ctypes.c_float(scale), dropout))


def bias_gelu(values: Tensor, bias: Tensor) -> Tensor:
    """Return gelu(values + bias), the exact GELU; `values` (rows, width), `bias` float32 (width,)."""
    _check_like(values, columns=(bias,))
    output = torch.empty_like(values)
    _call("bias_gelu", values, bias, output)
    return output


def bias_gelu_backward(values: Tensor, bias: Tensor, gradient: Tensor) -> Tensor:
    """Turn `gradient` of the output into that of `values` in place; return that of `bias`, float32."""
    _check_like(values, gradient, columns=(bias,))
    bias_gradient = torch.empty_like(bias)
    _call("bias_gelu_backward", values, bias, gradient, bias_gradient)
    return bias_gradient


def bias_dropout_residual_norm(
    values: Tensor,
    bias: Tensor,
    residual: Tensor,
    weight: Tensor,
    shift: Tensor,
    *,
    epsilon: float,
    dropout: Dropout,
) -> tuple[Tensor, Tensor]:
    """Return norm(dropout(values + bias) + residual) · weight + shift, and 1 ÷ the deviations, float32 (rows,).

    `values` (rows, width) become the normalised values, which the backward needs. `bias`, `weight`, `shift`: float32.
    """
    _check_like(values, residual, columns=(bias, weight, shift))
    output = torch.empty_like(values)
    inverse_deviation = torch.empty(len(values), dtype=torch.float32)
    tensors = (values, bias, residual, weight, shift, output, inverse_deviation)
    _call("bias_dropout_residual_norm", *tensors, settings=(ctypes.c_float(epsilon), dropout))
    return output, inverse_deviation


def bias_dropout_residual_norm_backward(
    normalised: Tensor, inverse_deviation: Tensor, weight: Tensor, gradient: Tensor, *, dropout: Dropout
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of residual, of values (without dropout the same tensor), and of (weight, shift, bias)."""
    _check_like(normalised, gradient, columns=(weight,))
    residual_gradient = torch.empty_like(normalised)
    input_gradient = torch.empty_like(normalised) if dropout.keep_below else residual_gradient
    sums = torch.empty(3, normalised.shape[-1], dtype=torch.float32)
    tensors = (normalised, inverse_deviation, weight, gradient, residual_gradient, input_gradient, sums)
    _call("bias_dropout_residual_norm_backward", *tensors, settings=(dropout,))
    return residual_gradient, input_gradient, sums


def drop(values: Tensor, *, dropout: Dropout) -> Tensor:
    """Return `values` (…, width) with dropout, a new tensor; the same on a gradient is its backward pass."""
    _check_like(values)
    output = torch.empty_like(values)
    _call("drop", values, output, settings=(dropout,))
    return output


def sum_rows(values: Tensor) -> Tensor:
    """Return the sum of `values` (rows, width) over the rows, float32 (width,), without a float32 copy of them."""
    _check_like(values)
    sums = torch.empty(values.shape[-1], dtype=torch.float32)
    _call("sum_rows", values, sums)
    return sums


def _check_like(matrix: Tensor, *others: Tensor, columns: tuple[Tensor, ...] = ()) -> None:
    """ValueError unless `others` are like `matrix` and `columns` are float32 of its width: pointers can't tell."""
    for tensor in (matrix, *others, *columns):
        if not tensor.is_contiguous() or tensor.device.type != "cpu":
            raise ValueError(f"the kernels need contiguous tensors in host memory, not {tensor.stride()}")
    if matrix.dtype not in SUFFIXES:
        raise ValueError(f"the kernels need float32 or bfloat16, not {matrix.dtype}")
    if any(other.shape != matrix.shape or other.dtype != matrix.dtype for other in others):
        raise ValueError(f"shapes or types differ from {tuple(matrix.shape)} {matrix.dtype}")
    if any(column.shape != matrix.shape[-1:] or column.dtype != torch.float32 for column in columns):
        raise ValueError(f"biases and weights must be float32 ({matrix.shape[-1]},)")


def _call(name: str, matrix: Tensor, *others: Tensor | None, settings: tuple[Any, ...] = ()) -> None:
    """Call a kernel: with all tensors, the first one's rows and width, the settings, the number of threads.

    No operator shows in a profile, so the annotations say what kind of work this is, and which kernel.
    """
    function = getattr(load_library().functions, f"{name}_{SUFFIXES[matrix.dtype]}")
    pointers = (None if tensor is None else ctypes.c_void_p(tensor.data_ptr()) for tensor in (matrix, *others))
    sizes = ctypes.c_int64(math.prod(matrix.shape[:-1])), ctypes.c_int64(matrix.shape[-1])
    kind = "attention" if name.startswith("softmax") else "elementwise"
    with record_function(kind), record_function(f"fused_blocks::{name}"):
        function(*pointers, *sizes, *settings, ctypes.c_int(torch.get_num_threads()))
