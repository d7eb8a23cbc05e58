"""Traces written by hand, in the form in which Kineto writes them; loaded by the conftest.py of tests that need it.

Times are milliseconds from the trace's start. What the ready-made traces hold is said where they are made, so that a
test can add up by hand what a ledger must say.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

START_US = 4_619_392_888_000.0
"""Kineto's clock is somewhere far from 0."""

PROCESS, DEVICE = 4321, 0
MAIN, AUTOGRAD = 4321, 4400
COMPUTE_STREAM, COPY_STREAM = 7, 20

GEMM = "ampere_sgemm_128x64_tn"
SOFTMAX = "void (anonymous namespace)::softmax_warp_forward<float, float, float, 8, false, false>(float*)"
LOG_SOFTMAX = "void at::native::cunn_SoftMaxForward<4, float, at::native::LogSoftMaxForwardEpilogue>(float*, int)"
ADAM = "void at::native::multi_tensor_apply_kernel<at::native::FusedAdamMathFunctor<float, 4>>(float)"
ADD = "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)"


class TraceBuilder:
    """Events in the order in which they are given."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "ts": START_US, "pid": PROCESS, "tid": 0, "args": {"name": "python"}}
        ]
        self._links = 0

    def annotation(self, name: str, start_ms: float, end_ms: float, *, thread: int = MAIN) -> None:
        """Add a `record_function` range."""
        self._add("user_annotation", name, start_ms, end_ms, PROCESS, thread, {"External id": self._link()})

    def operator(
        self,
        name: str,
        start_ms: float,
        end_ms: float,
        *,
        shapes: Sequence[Sequence[int]] = (),
        sequence: int | None = None,
        thread: int = MAIN,
    ) -> int:
        """Add an operator or autograd node; return its number."""
        arguments: dict[str, Any] = {"External id": self._link()}
        if sequence is not None:
            arguments["Sequence number"] = sequence
        if shapes:
            arguments["Input Dims"] = [list(shape) for shape in shapes]
        self._add("cpu_op", name, start_ms, end_ms, PROCESS, thread, arguments)
        return int(arguments["External id"])

    def runtime(self, name: str, start_ms: float, end_ms: float, *, thread: int = MAIN) -> int:
        """Add a runtime call; return the correlation for what it launches."""
        correlation = self._link()
        self._add("cuda_runtime", name, start_ms, end_ms, PROCESS, thread, {"correlation": correlation})
        return correlation

    def unrecorded_call(self) -> int:
        """Return the correlation of a call that the trace does not hold."""
        return self._link()

    def kernel(
        self,
        name: str,
        start_ms: float,
        end_ms: float,
        *,
        correlation: int = 0,
        operator: int = 0,
        stream: int = COMPUTE_STREAM,
        category: str = "kernel",
    ) -> None:
        """Add a kernel, or with another category a copy on the device."""
        arguments = {"External id": operator, "correlation": correlation, "stream": stream, "device": DEVICE}
        self._add(category, name, start_ms, end_ms, DEVICE, stream, arguments)

    def write(self, path: Path) -> Path:
        """Write the trace, zipped if the name says so; return the path."""
        head = {"schemaVersion": 1, "deviceProperties": [], "displayTimeUnit": "ms"}
        text = json.dumps({**head, "traceEvents": self.events, "traceName": "trace.json"}, indent=1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path

    def _add(
        self, category: str, name: str, start_ms: float, end_ms: float, process: int, thread: int, arguments: Any
    ) -> None:
        times = {"ts": round(START_US + start_ms * 1000, 3), "dur": round((end_ms - start_ms) * 1000, 3)}
        where = {"pid": process, "tid": thread}
        self.events.append({"ph": "X", "cat": category, "name": name, **where, **times, "args": arguments})

    def _link(self) -> int:
        self._links += 1
        return self._links


def host_trace(*, shapes: bool = True, steps: int = 2) -> TraceBuilder:
    """Steps of 20 ms on processors.

    Each: data 0–2 (a gap); forward 2–8: a linear layer 1 ms, a product of attention 1 ms, scaling and softmax 0.5 ms,
    a norm 1 ms, loss 0.5 ms, the rest gaps; backward 8–14: the norm's 2 ms, attention's scaling 1 ms, a product 2 ms,
    a gap; optimizer 14–18, of which an operator 3 ms; 18–20: a copy 1 ms, a gap.
    """
    trace = TraceBuilder()
    for step in range(steps):
        _add_host_step(trace, step, 20.0 * step, shapes=shapes)
    return trace


def _add_host_step(trace: TraceBuilder, step: int, t: float, *, shapes: bool) -> None:
    scores, product, hidden = ([4, 2, 8, 8], [8, 8, 16], [4, 8, 32]) if shapes else ([], [], [])
    given = [[shape] if shape else [] for shape in (scores, product, hidden)]
    first = 100 * step
    trace.annotation(f"ProfilerStep#{step}", t, t + 20)
    trace.annotation("data", t, t + 2)
    trace.annotation("forward", t + 2, t + 8)
    trace.operator("aten::linear", t + 2, t + 3, shapes=given[2], sequence=first)
    trace.operator("aten::addmm", t + 2.1, t + 3, shapes=[[32, 32]] if shapes else [], sequence=first)
    trace.operator("aten::bmm", t + 3.5, t + 4.5, shapes=given[1], sequence=first + 1)
    trace.operator("aten::mul", t + 4.5, t + 4.6, shapes=given[0], sequence=first + 2)
    trace.operator("aten::_softmax", t + 4.6, t + 5, shapes=given[0], sequence=first + 3)
    trace.operator("aten::native_layer_norm", t + 5, t + 6, shapes=given[2], sequence=first + 4)
    trace.operator("aten::cross_entropy_loss", t + 6, t + 6.5, shapes=[[4, 8]] if shapes else [], sequence=first + 5)
    trace.annotation("backward", t + 8, t + 14)
    engine = "autograd::engine::evaluate_function: "
    trace.operator(f"{engine}NativeLayerNormBackward0", t + 8, t + 10, sequence=first + 4)
    trace.operator("aten::native_layer_norm_backward", t + 8.2, t + 10, shapes=given[2])
    trace.operator(f"{engine}MulBackward0", t + 10, t + 11, sequence=first + 2)
    trace.operator("aten::mul", t + 10.2, t + 11, shapes=given[0])
    trace.operator(f"{engine}AddmmBackward0", t + 11, t + 13, sequence=first)
    trace.operator("aten::t", t + 11, t + 11.5, shapes=[[32, 32]] if shapes else [])
    trace.operator("aten::mm", t + 11.5, t + 13, shapes=[[32, 32]] if shapes else [])
    trace.annotation("optimizer", t + 14, t + 18)
    trace.operator("aten::addcdiv_", t + 14.5, t + 17.5, shapes=[[32, 32]] if shapes else [])
    trace.operator("aten::clone", t + 18, t + 19, shapes=[[32, 32]] if shapes else [])


HOST_STEP_MS = {
    "matmul": 3.0,
    "attention": 2.5,
    "elementwise": 3.0,
    "loss": 0.5,
    "optimizer": 4.0,
    "copies": 1.0,
    "data": 2.0,
    "idle": 4.0,
    "other": 0.0,
}
"""What a step of `host_trace` must be divided into."""


def device_trace(*, steps: int = 2) -> TraceBuilder:
    """Steps of 10 ms on a GPU with two streams, autograd in a thread of its own.

    On the device: 0.5–1 the batch's upload; 1.2–2.2 a product, 2.2–2.5 softmax, 2.5–3 a product of attention, 3–3.1
    loss; 3.5–5 a product of the backward pass, beside it 4.5–5.5 a copy on the other stream; 6–7 the optimizer.
    On the host: data 0–1, forward 1–3, backward 3–4, optimizer 4–4.5, a synchronisation 4.5–7.
    """
    trace = TraceBuilder()
    for step in range(steps):
        _add_device_step(trace, step, 10.0 * step)
    return trace


def _add_device_step(trace: TraceBuilder, step: int, t: float) -> None:
    scores = [4, 2, 8, 8]
    trace.annotation(f"ProfilerStep#{step}", t, t + 10)
    trace.annotation("data", t, t + 1)
    trace.operator("aten::copy_", t + 0.3, t + 0.6, shapes=[[4, 8]])
    upload = trace.runtime("cudaMemcpyAsync", t + 0.4, t + 0.5)
    trace.kernel("Memcpy HtoD (Pageable -> Device)", t + 0.5, t + 1, correlation=upload, category="gpu_memcpy")
    trace.annotation("forward", t + 1, t + 3)
    _launch(trace, "aten::addmm", [[32, 32]], t + 1, GEMM, t + 1.2, t + 2.2)
    _launch(trace, "aten::_softmax", [scores], t + 1.4, SOFTMAX, t + 2.2, t + 2.5)
    _launch(trace, "aten::bmm", [[8, 8, 8]], t + 1.8, GEMM, t + 2.5, t + 3)
    _launch(trace, "aten::cross_entropy_loss", [[4, 8]], t + 2.2, LOG_SOFTMAX, t + 3, t + 3.1)
    trace.annotation("backward", t + 3, t + 4)
    _launch(trace, "aten::mm", [[32, 32]], t + 3.2, GEMM, t + 3.5, t + 5, thread=AUTOGRAD)
    copy = trace.runtime("cudaMemcpyAsync", t + 3.6, t + 3.7, thread=AUTOGRAD)
    name = "Memcpy DtoD (Device -> Device)"
    trace.kernel(name, t + 4.5, t + 5.5, correlation=copy, stream=COPY_STREAM, category="gpu_memcpy")
    trace.annotation("optimizer", t + 4, t + 4.5)
    _launch(trace, "aten::_fused_adamw_", [], t + 4.1, ADAM, t + 6, t + 7)
    trace.runtime("cudaDeviceSynchronize", t + 4.5, t + 7)


def _launch(
    trace: TraceBuilder,
    operator: str,
    shapes: Sequence[Sequence[int]],
    host_ms: float,
    kernel: str,
    start_ms: float,
    end_ms: float,
    *,
    thread: int = MAIN,
) -> None:
    """Add an operator of 0.2 ms, the launch inside it, and its kernel."""
    number = trace.operator(operator, host_ms, host_ms + 0.2, shapes=shapes, thread=thread)
    correlation = trace.runtime("cudaLaunchKernel", host_ms + 0.05, host_ms + 0.15, thread=thread)
    trace.kernel(kernel, start_ms, end_ms, correlation=correlation, operator=number)


DEVICE_STEP_MS = {
    "matmul": 2.5,
    "attention": 0.8,
    "elementwise": 0.0,
    "loss": 0.1,
    "optimizer": 1.0,
    "copies": 0.5,
    "data": 1.0,
    "idle": 4.1,
    "other": 0.0,
}
"""What a step of `device_trace` must be divided into."""

DEVICE_PARTS_MS = {"forward": 2.1, "backward": 2.4, "optimizer": 1.0, "data": 1.0, "other": 3.5}
"""Kernels count to the part that launched them, idle time to the part in which the host is."""


def graph_trace(*, steps: int = 2) -> TraceBuilder:
    """Steps of 5 ms: one graph launch of five kernels of 0.5 ms: product, element-wise, loss, product, optimizer."""
    trace = TraceBuilder()
    for step in range(steps):
        t = 5.0 * step
        trace.annotation(f"ProfilerStep#{step}", t, t + 5)
        launch = trace.runtime("cudaGraphLaunch", t + 0.2, t + 0.4)
        for number, name in enumerate((GEMM, ADD, LOG_SOFTMAX, GEMM, ADAM)):
            trace.kernel(name, t + 1 + 0.5 * number, t + 1.5 + 0.5 * number, correlation=launch)
    return trace


def leftover_trace(*, steps: int = 3, left_over_ms: float, recorded: bool = True) -> TraceBuilder:
    """Steps of 3 ms on a GPU, each one product, launched by a host that needs 0.5 ms for each.

    When the first mark opens, a product that was launched before still runs for `left_over_ms`; whether its launch is
    `recorded` or was made before the recording.
    """
    trace = TraceBuilder()
    earlier = trace.runtime("cudaLaunchKernel", -1.0, -0.9) if recorded else trace.unrecorded_call()
    trace.kernel(GEMM, 0.01, left_over_ms, correlation=earlier)
    for step in range(steps):
        t = 0.5 * step
        trace.annotation(f"ProfilerStep#{step}", t, t + 0.5)
        launch = trace.runtime("cudaLaunchKernel", t + 0.1, t + 0.2)
        start_ms = left_over_ms + 3.0 * step
        trace.kernel(GEMM, start_ms, start_ms + 3.0, correlation=launch)
    return trace
