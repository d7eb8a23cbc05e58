"""A profiler's trace of a made-up run, as Kineto writes it: some steps with one operator of each kind of work."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORK = (
    ("data", "aten::stack", "CatArrayBatchedCopy", 4.0),
    ("forward", "aten::addmm", "sm90_xmma_gemm_f32f32", 90.0),
    ("forward", "aten::_softmax", "softmax_warp_forward", 20.0),
    ("forward", "aten::native_layer_norm", "vectorized_layer_norm_kernel", 40.0),
    ("forward", "aten::_log_softmax", "log_softmax_kernel", 2.0),
    ("backward", "aten::mm", "sm90_xmma_gemm_f32f32", 180.0),
    ("backward", "aten::_softmax_backward_data", "softmax_warp_backward", 35.0),
    ("backward", "aten::gelu_backward", "gelu_backward_elementwise", 60.0),
    ("optimizer", "aten::copy_", "Memcpy DtoD", 6.0),
    ("optimizer", "aten::_foreach_addcdiv_", "multi_tensor_apply_kernel", 55.0),
)
"""Part of the step, operator, its kernel, milliseconds."""

STEP_MS = 550.0
"""What the work leaves of it is idle."""

HOST, DEVICE = 1, 2
LAUNCH_MS = 0.02


def record_trace(path: Path, *, steps: int, factor: float, gpu: bool) -> None:
    """Write a trace of steps that are `factor` times faster, by products of a type in which they take less time."""
    numbers = itertools.count(1)
    step_ms = STEP_MS / factor
    products_ms = sum(time_ms for _, name, _, time_ms in WORK if name.endswith("mm"))
    matmul_factor = products_ms / (products_ms - STEP_MS + step_ms)
    events = [
        event for step in range(steps) for event in _step(step, step * step_ms, step_ms, matmul_factor, gpu, numbers)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({"traceEvents": events}).encode(), mtime=0))


def _step(
    step: int, start_ms: float, step_ms: float, factor: float, gpu: bool, numbers: Iterator[int]
) -> Iterator[dict[str, Any]]:
    yield _event("user_annotation", f"ProfilerStep#{step}", start_ms, step_ms, HOST)
    at_ms = start_ms
    for part, work in itertools.groupby(WORK, key=lambda row: row[0]):
        begin_ms = at_ms
        for _, operator, kernel, time_ms in work:
            taken_ms = time_ms / factor if operator.endswith("mm") else time_ms
            number = next(numbers)
            host_ms = 2 * LAUNCH_MS if gpu else taken_ms
            dtype = "float" if taken_ms == time_ms else f"{factor:.2f} times faster"
            arguments = {"External id": number, "Input Dims": [[16, 96]], "Input type": [dtype]}
            yield _event("cpu_op", operator, at_ms, host_ms, HOST, arguments)
            if gpu:
                category = "gpu_memcpy" if kernel.startswith("Memcpy") else "kernel"
                yield _event("cuda_runtime", "cudaLaunchKernel", at_ms, LAUNCH_MS, HOST, {"correlation": number})
                yield _event(category, kernel, at_ms + LAUNCH_MS, taken_ms, DEVICE, {"correlation": number})
            at_ms += taken_ms + LAUNCH_MS
        yield _event("user_annotation", part, begin_ms, at_ms - begin_ms, HOST)


def _event(
    category: str, name: str, start_ms: float, time_ms: float, track: int, arguments: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"ph": "X", "cat": category, "name": name, "pid": 1, "tid": track, "ts": round(start_ms * 1000, 3),
            "dur": round(time_ms * 1000, 3), "args": arguments or {}}  # fmt: skip
