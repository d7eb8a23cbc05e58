"""Settings of a step, read off the operators in its trace: for loops whose knobs nobody wrote down."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RecordError

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")

DTYPES = {"float": "float32", "c10::BFloat16": "bfloat16", "c10::Half": "float16"}
"""Names of types as the profiler writes them."""

FUSED_ATTENTION = ("scaled_dot_product", "flash_attention", "efficient_attention")
SOFTMAX = ("aten::_softmax", "aten::softmax")


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the operators show; None where they show nothing of it."""

    forward_dtype: str | None
    """In which most of the time of the matrix products is spent. Whether fp32 means TF32 can't be seen."""
    attention: str | None
    """"sdpa" or "eager"; also where softmax and batched products serve something else than attention."""
    fused_optimizer: bool | None
    """Whether one kernel updates everything; False only for a loop over the parameters."""


def read_events(trace: Path) -> list[dict[str, Any]]:
    """Return the events of a Chrome trace (`.json.gz`); RecordError if it can't be read."""
    try:
        with gzip.open(trace, "rt", encoding="utf-8") as file:
            events: list[dict[str, Any]] = json.load(file)["traceEvents"]
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise RecordError(f"{trace} is damaged: {error}", remedy="profile again") from None
    return events


def observe(trace: Path) -> Observed:
    """Return what the operators of a trace with input types (`record_shapes=True`) say."""
    events = [event for event in read_events(trace) if event.get("ph") == "X"]
    names = {str(event.get("name", "")) for event in events}
    return Observed(
        forward_dtype=_dtype_of_products(events), attention=_attention(names), fused_optimizer=_fused_optimizer(names)
    )


def _dtype_of_products(events: list[dict[str, Any]]) -> str | None:
    times_us: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("name") in PRODUCTS:
            types = event.get("args", {}).get("Input type") or []
            # The first tensor of addmm and baddbmm is the bias or the sum so far, the last one is always a factor.
            factors = [DTYPES[kind] for kind in types if kind in DTYPES]
            if factors:
                times_us[factors[-1]] += float(event.get("dur", 0.0))
    return max(times_us, key=lambda dtype: times_us[dtype]) if times_us else None


def _attention(names: set[str]) -> str | None:
    if any(part in name for name in names for part in FUSED_ATTENTION):
        return "sdpa"
    return "eager" if names & set(SOFTMAX) and names & {"aten::bmm", "aten::baddbmm"} else None


def _fused_optimizer(names: set[str]) -> bool | None:
    if any(name.startswith("aten::_fused_") for name in names):
        return True
    steps = any(name.startswith("Optimizer.step#") for name in names)
    return False if steps and not any(name.startswith("aten::_foreach_") for name in names) else None
