"""The roof: how fast this machine multiplies matrices of the model's shapes, and how fast it copies memory.

A run measures it in a process of its own, `python -m harness.measurement.roof SPECIFICATION`, which prints the record:
what it warms up or allocates is gone before the first trial.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from harness.measurement.clocks import StepClock, make_step_clock
from harness.measurement.environment import choose_device, cpu_name
from harness.records.machine import RoofRecord
from harness.records.serialise import build

TOKENS = {"cpu": (512, 2048), "cuda": (2048, 8192, 32768)}
"""Rows of the products by kind of device. A processor's rate no longer grows beyond 512 rows; a GPU needs many to be
busy, and so that a launch takes no part of a product's time."""

LEAST_REPEATS, MOST_REPEATS = 3, 1000
"""Of each product, after one for warm-up and one to see how long it takes."""

COPY_SHARE = 0.2
"""Of the time, for the copy bandwidth."""


@dataclass(frozen=True, kw_only=True)
class RoofSpec:
    """What to measure, and for how long."""

    device: str = "auto"
    """"auto", "cpu" or "cuda"."""
    hidden_size: int
    intermediate_size: int
    budget_s: float = 1.5
    """About how long everything takes, without warm-up; slow machines need more for the least repeats."""
    copy_mib: int = 256
    """Size of the copied buffer, far above the caches."""


class Product(NamedTuple):
    """(rows × inner) times (inner × columns)."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> float:
        """A multiplication and an addition per element of the three sides."""
        return 2.0 * self.rows * self.inner * self.columns

    def __str__(self) -> str:
        return f"{self.rows}×{self.inner}×{self.columns}"


def measure_roof(spec: RoofSpec) -> RoofRecord:
    """Return matrix-product rates in each dtype that the device has units for, and the copy bandwidth.

    A rate is that of the fastest product and repeat: the roof is what the machine can do at best, and what else runs on
    it only ever lowers a rate. Raises ConfigError if the device is not there, and torch's errors without the memory.
    """
    start_s = time.perf_counter()
    device = choose_device(spec.device)
    dtypes = native_dtypes(device)
    # Of an encoder layer's linear maps: to queries, keys and values at once, and to the MLP.
    widths = (3 * spec.hidden_size, spec.intermediate_size)
    products = [Product(rows, spec.hidden_size, width) for rows in TOKENS[device.type] for width in widths]
    product_budget_s = spec.budget_s * (1.0 - COPY_SHARE) / (len(dtypes) * len(products))
    rates: dict[str, float] = {}
    shapes: dict[str, str] = {}
    for dtype in dtypes:
        measured = {product: product_tflops(product, dtype, device, product_budget_s) for product in products}
        fastest = max(measured, key=lambda product: measured[product])
        rates[dtype], shapes[dtype] = measured[fastest], str(fastest)
    copy_gb_per_s = _copy_gb_per_s(spec.copy_mib * 2**20, device, spec.budget_s * COPY_SHARE)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return RoofRecord(
        matmul_tflops=rates,
        copy_gb_per_s=copy_gb_per_s,
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
        threads=None if device.type == "cuda" else torch.get_num_threads(),
        shapes=shapes,
        took_s=time.perf_counter() - start_s,
    )


def native_dtypes(device: torch.device) -> list[str]:
    """Return the dtypes whose products run on units made for them: an emulated one is no roof."""
    if device.type != "cuda":
        has_bf16 = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
        return ["float32", "bfloat16"] if has_bf16 else ["float32"]
    found = ["float32", "float16"]
    if torch.version.hip is None and torch.cuda.get_device_capability(device) >= (8, 0):
        found.append("tf32")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        found.append("bfloat16")
    return found


def product_tflops(product: Product, dtype: str, device: torch.device, budget_s: float) -> float:
    """Return the rate of `x @ weight.T`, as a linear layer computes it, into memory that is there already.

    CUDA multiplies fp32 matrices in TF32 for "tf32", in fp32 otherwise; afterwards as before.
    """
    kind: torch.dtype = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    x = torch.randn(product.rows, product.inner, device=device).to(kind)
    weight = torch.randn(product.columns, product.inner, device=device).to(kind)
    out = torch.empty(product.rows, product.columns, device=device, dtype=kind)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
    try:
        fastest_s = shortest_s(lambda: torch.mm(x, weight.t(), out=out), make_step_clock(device), budget_s)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return product.flops / fastest_s / 1e12


def _copy_gb_per_s(size: int, device: torch.device, budget_s: float) -> float:
    """Return the bytes read plus the bytes written per second of a copy of `size` bytes, in 1e9 bytes."""
    source = torch.ones(size, dtype=torch.uint8, device=device).view(torch.float32)
    target = torch.zeros_like(source)
    fastest_s = shortest_s(lambda: target.copy_(source), make_step_clock(device), budget_s)
    return 2.0 * size / fastest_s / 1e9


def shortest_s(work: Callable[[], object], clock: StepClock, budget_s: float) -> float:
    """Return the shortest time of one call of `work` among as many as fit into `budget_s`, after one for warm-up."""
    _time_calls(work, clock, 1)
    first_s = _time_calls(work, clock, 1)[0]
    repeats = min(MOST_REPEATS, max(LEAST_REPEATS, int(budget_s / first_s)))
    return min(first_s, *_time_calls(work, clock, repeats))


def _time_calls(work: Callable[[], object], clock: StepClock, count: int) -> list[float]:
    clock.start()
    for _ in range(count):
        work()
        clock.mark()
    return clock.read()


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(measure_roof(build(RoofSpec, json.loads(sys.argv[1]))))))
