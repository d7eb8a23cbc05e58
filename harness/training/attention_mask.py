"""The mask of the baseline's attention, in place of transformers' own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import sdpa_mask


def additive_mask(*, dtype: torch.dtype = torch.float32, **given: Any) -> Tensor | None:
    """Return transformers' `eager_mask`: 0 where a key is attended to, else the lowest number; None for no mask.

    Transformers 5.17 makes the 0 on the host. Its copy to the device waits for all work before it, in every forward
    pass, and can't be captured into a CUDA graph. This one is made on the device, as in 5.23.
    """
    mask = sdpa_mask(**{**given, "allow_is_causal_skip": False})
    if mask is None:
        return None
    return torch.where(mask, torch.zeros((), dtype=dtype, device=mask.device), torch.finfo(dtype).min)
