"""How far updates may be from the fp32 reference and still count as rounding, by the dtype that they were made in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FULL_PRECISION = "float32"
"""Its tolerances also hold for a dtype that has none of its own."""

TF32 = "tf32"
FLOAT16 = "float16"

BFLOAT16 = "bfloat16"
COARSEST = BFLOAT16
"""Its tolerances hold for who claims a lower precision without showing one: what is coarser is another model."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What counts as rounding in one dtype; all relative L2 errors."""

    gradient: float
    """Of one tensor's gradient."""
    update: float
    """Of one tensor's update, and of gradient norms. More than `gradient`: Adam divides by √v, so small gradients count
    fully."""
    typical_gradient: float
    """Of the median matrix, and of losses: what is wrong a little everywhere shows in it, a tensor whose sums round
    badly does not."""
    typical_update: float
    """Of the median matrix."""
    matrix_share: float
    """A matrix's gradient below this share of the whole gradient's norm is measured against that share of it."""
    vector_share: float
    """The same of vectors. Some (an attention's key bias) are 0 in exact arithmetic, and their rounding errors have no
    scale of their own; in bfloat16 the sums over tokens that biases and norms get round by as much."""
    round_off: float
    """The dtype's unit round-off: the share of a loss that may be rounding."""


AUDITED_UPDATE = 1e-4
"""Of an audited step's update from AdamW's own for the gradient that the step itself used, in whatever precision that
was computed: optimizers work in float32. A schedule that is one step late is off by 1 ÷ the steps that remain."""

UPDATE_SHARE = 1e-3
"""A matrix's update is looked at where its gradient has this share of the whole one's norm: below, Adam makes full
steps of what may be rounding alone. A vector's from its own share on."""

TEN_BITS = Tolerance(
    gradient=5e-2,
    update=2e-1,
    typical_gradient=1e-2,
    typical_update=3e-2,
    matrix_share=1e-5,
    vector_share=3e-2,
    round_off=5e-4,
)
"""TF32 and float16 have the same significand."""

TOLERANCES: Mapping[str, Tolerance] = {
    FULL_PRECISION: Tolerance(
        gradient=1e-4,
        update=1e-3,
        typical_gradient=1e-4,
        typical_update=1e-3,
        matrix_share=1e-3,
        vector_share=1e-3,
        round_off=6e-8,
    ),
    TF32: TEN_BITS,
    FLOAT16: TEN_BITS,
    BFLOAT16: Tolerance(
        gradient=2e-1,
        update=5e-1,
        typical_gradient=7e-2,
        typical_update=1e-1,
        matrix_share=1e-5,
        vector_share=3e-2,
        round_off=4e-3,
    ),
}
"""A gradient passes some dozens of roundings and sums. What is really
other mathematics (a missing mask, a frozen layer) is off by 1e-2 and more in fp32.

bfloat16 was measured on two AVX512-BF16 cores, on the bundled encoder (short generated windows; 256 tokens of SQuAD,
also after 100 steps) and on DistilBERT's sizes and a tiny model with random weights. Honest were amp_bf16 and
bf16_weights, alone and with unpadded, fused_blocks and sdpa:

| largest error | gradient | median gradient | update | median update |
| --- | ---: | ---: | ---: | ---: |
| autocast, new head | 0.021 | 0.015 | 0.11 | 0.029 |
| autocast, after 100 steps | 0.041 | 0.025 | 0.08 | 0.044 |
| bf16_weights, new head | 0.10 | 0.021 | 0.14 | 0.038 |
| bf16_weights, after 100 steps | 0.12 | 0.042 | 0.13 | 0.067 |

Faults, each under autocast, on the bundled encoder; the smallest errors of the three states:

| fault | gradient | median gradient | update | median update |
| --- | ---: | ---: | ---: | ---: |
| windows see each other | 1.2 | 0.84 | 1.1 | 1.0 |
| the same in one layer of six | 0.74 | 0.33 | 0.83 | 0.47 |
| two of eight windows see each other | 0.15 | 0.067 | 0.30 | 0.17 |
| attention scale 1 / √(2d) | 0.75 | 0.46 | 0.75 | 0.64 |
| the same in one layer | 0.51 | 0.20 | 0.51 | 0.33 |
| attention scale 10 % off | 0.25 | 0.15 | 0.35 | 0.26 |
| padding attended to | 1.2 | 0.59 | 0.92 | 0.76 |
| one window of eight left out | 0.19 | 0.083 | 0.32 | 0.19 |
| weights rounded to fp8 e4m3 | 0.15 | 0.12 | 0.25 | 0.19 |
| one layer's gradients halved | 0.45 | 0.020 | 0.06 | 0.023 |
| one bias or table without gradient | 0.78 | 0.013 | 0.06 | 0.023 |
| learning rate 20 % too high | 0.02 | 0.013 | 0.22 | 0.21 |

Each is beyond one tolerance at least. With random weights attention is nearly even, so that its scale matters little:
1 / √(2d) is still found (0.29), 10 % is not (0.11). float16 (autocast) and TF32 (products' operands rounded) were off
by 0.0032 and 0.0020, their medians by 0.0015 and 0.0011, updates by 0.015 and 0.017, their medians by 0.0019 and
0.0014, on short windows.
"""


def tolerance_of(dtype: str, *, lowers_precision: bool = False) -> Tolerance:
    """Return that of the dtype; a plugin may compute in any, and float64 or int8 must not end the analysis.

    `lowers_precision`: whether the contender claims a lower precision. Where its dtype shows none, as with products
    rounded inside of its modules, it is held against the coarsest.
    """
    return TOLERANCES[judged_dtype(dtype, lowers_precision=lowers_precision)]


def judged_dtype(dtype: str, *, lowers_precision: bool = False) -> str:
    """Return the dtype whose tolerances hold."""
    if dtype in TOLERANCES and not (lowers_precision and dtype == FULL_PRECISION):
        return dtype
    return COARSEST if lowers_precision else FULL_PRECISION
