"""The roof: what is multiplied, and that rates come out; none of them is compared with a number."""

from __future__ import annotations

import math

import pytest
import torch

from harness.errors import ConfigError
from harness.measurement import roof as roof_module
from harness.measurement.clocks import StepClock
from harness.measurement.roof import (
    LEAST_REPEATS,
    MOST_REPEATS,
    TOKENS,
    Product,
    RoofSpec,
    measure_roof,
    native_dtypes,
    product_tflops,
    shortest_s,
)

TF32 = torch.backends.cuda.matmul
SMALL = {"hidden_size": 16, "intermediate_size": 64, "budget_s": 0.05, "copy_mib": 1}


def check(roof, device):
    assert set(roof.matmul_tflops) == set(roof.shapes) == set(native_dtypes(device))
    assert all(math.isfinite(rate) and rate > 0 for rate in roof.matmul_tflops.values())
    assert math.isfinite(roof.copy_gb_per_s)
    assert roof.copy_gb_per_s > 0
    assert set(roof.shapes.values()) <= {f"{rows}×16×{columns}" for rows in TOKENS[device.type] for columns in (48, 64)}
    assert roof.took_s > 0


def test_a_processor_has_a_rate_for_each_native_dtype_and_a_bandwidth():
    roof = measure_roof(RoofSpec(device="cpu", **SMALL))
    check(roof, torch.device("cpu"))
    assert (roof.threads, "tf32" in roof.matmul_tflops) == (1, False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_has_rates_in_fp16_too_and_gives_its_memory_back():
    before = torch.cuda.memory_reserved()
    roof = measure_roof(RoofSpec(device="cuda", **SMALL))
    check(roof, torch.device("cuda"))
    assert roof.threads is None
    assert "float16" in roof.matmul_tflops
    assert torch.cuda.memory_reserved() == before


def test_bf16_is_native_only_where_onednn_multiplies_it():
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert ("bfloat16" in native_dtypes(torch.device("cpu"))) == supported


def test_products_have_the_models_shapes(monkeypatch):
    products = []
    monkeypatch.setattr(roof_module, "native_dtypes", lambda device: ["float32"])
    monkeypatch.setattr(roof_module, "product_tflops", lambda product, *_: products.append(str(product)) or 1.0)
    measure_roof(RoofSpec(device="cpu", **SMALL))
    assert products == [f"{rows}×16×{columns}" for rows in TOKENS["cpu"] for columns in (48, 64)]
    assert Product(rows=3, inner=5, columns=7).flops == 2 * 3 * 5 * 7


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("dtype", ["tf32", "float32"])
def test_tf32_is_on_only_while_it_is_measured(monkeypatch, dtype, before):
    seen = []
    monkeypatch.setattr(roof_module, "shortest_s", lambda *_: seen.append(TF32.allow_tf32) or 1.0)
    found, TF32.allow_tf32 = TF32.allow_tf32, before
    try:
        product_tflops(Product(rows=2, inner=2, columns=2), dtype, torch.device("cpu"), 0.01)
        assert (seen, TF32.allow_tf32) == ([dtype == "tf32"], before)
    finally:
        TF32.allow_tf32 = found


class ScriptedClock(StepClock):
    """Gives out prepared times, so that choosing among them can be tested."""

    def __init__(self, times_s):
        self.times_s, self.marks = times_s, 0

    def start(self):
        self.first = self.marks

    def mark(self):
        self.marks += 1

    def read(self):
        return [self.times_s(number) for number in range(self.first, self.marks)]


def test_the_shortest_call_counts_and_warm_up_does_not():
    clock = ScriptedClock(lambda number: [0.001, 0.5, 0.3, 0.4, 0.2][min(number, 4)])
    assert shortest_s(lambda: None, clock, budget_s=2.0) == 0.2
    assert clock.marks == 2 + 4


@pytest.mark.parametrize(("call_s", "repeats"), [(10.0, LEAST_REPEATS), (1e-9, MOST_REPEATS)])
def test_repeats_are_bounded(call_s, repeats):
    clock = ScriptedClock(lambda _: call_s)
    shortest_s(lambda: None, clock, budget_s=1.0)
    assert clock.marks == 2 + repeats


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_missing_device_is_an_error_in_words():
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        measure_roof(RoofSpec(device="cuda", **SMALL))
