"""Settings of a step, read off the operators in its trace: for loops whose settings nobody wrote down."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from harness.analysis.trace.read import Kind, read_trace
from harness.records.trial import Settings

PRODUCTS = {"aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"}
SOFTMAX = {"aten::_softmax", "aten::softmax"}

DTYPES = {"float": "float32", "c10::BFloat16": "bfloat16", "c10::Half": "float16"}
"""Names of types as the profiler writes them."""

FUSED_ATTENTION = ("scaled_dot_product", "flash_attention", "efficient_attention")


def observe(path: Path) -> Settings:
    """Return what the operators of a trace with input types (`record_shapes=True`) say; RecordError as `read_trace`.

    Whether fp32 means TF32 can't be seen. Attention is "sdpa" or "eager", the latter also where softmax and batched
    products serve something else. An optimizer is fused if one kernel updates everything, and not if it loops over the
    parameters.
    """
    trace = read_trace(path)
    names = set(trace.names)
    is_sdpa = any(part in name for name in names for part in FUSED_ATTENTION)
    is_eager = bool(names & SOFTMAX) and bool(names & {"aten::bmm", "aten::baddbmm"})
    steps = any(name.startswith("Optimizer.step#") for name in names)
    in_groups = any(name.startswith("aten::_foreach_") for name in names)
    is_fused = any(name.startswith("aten::_fused_") for name in names)
    # The type in which most of the time of the matrix products is spent.
    is_product = np.array([name in PRODUCTS for name in trace.names], dtype=bool)
    times_ns: Counter[str] = Counter()
    for event in np.flatnonzero((trace.kind == Kind.OPERATOR) & is_product[trace.name]):
        # The first tensor of addmm and baddbmm is the bias or the sum so far, the last one is always a factor.
        factors = [DTYPES[kind] for kind in trace.input_types[trace.types[event]] if kind in DTYPES]
        if factors:
            times_ns[factors[-1]] += int(trace.end_ns[event] - trace.start_ns[event])
    return Settings(
        forward_dtype=max(times_ns, key=lambda dtype: times_ns[dtype], default=None),
        attention="sdpa" if is_sdpa else "eager" if is_eager else None,
        fused_optimizer=is_fused or (False if steps and not in_groups else None),
    )
