"""The roof of a run: in a process of its own, only where it is wanted, and an error with a remedy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import HarnessError
from harness.experiment.inputs import length_sums
from harness.experiment.prepare import measure_roof_of
from harness.presets import preset

SIZES = {"hidden_size": 16, "layers": 2, "heads": 2, "intermediate_size": 32, "parameters": 1000}


def test_a_process_of_its_own_measures_the_models_shapes():
    roof = measure_roof_of(replace(preset("smoke"), roof=True, device="cpu"), SIZES)
    assert roof is not None
    assert roof.matmul_tflops["float32"] > 0
    assert "×16×" in roof.shapes["float32"]


def test_without_the_wish_or_the_shapes_nothing_is_measured():
    config = preset("smoke")
    assert not config.roof
    assert measure_roof_of(config, SIZES) is None
    assert measure_roof_of(replace(config, roof=True), {}) is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_what_goes_wrong_is_said_with_a_remedy():
    config = replace(preset("smoke"), roof=True, device="cuda")
    with pytest.raises(HarnessError, match="finds no CUDA device") as raised:
        measure_roof_of(config, SIZES)
    assert "--no-roof" in raised.value.remedy


@pytest.mark.usefixtures("needs_bundled")
def test_a_run_records_sizes_and_lengths_for_its_operations(smoke_run):
    run = smoke_run.run
    assert run.roof is None
    assert (run.model_sizes["hidden_size"], run.model_sizes["layers"]) == (32, 2)
    assert run.data["train_tokens"] == pytest.approx(
        run.data["mean_useful_tokens"] * run.data["train_windows"], rel=0.01
    )
    assert run.data["train_tokens"] ** 2 <= run.data["train_squared_tokens"] * run.data["train_windows"]
    assert run.data["validation_tokens"] < run.data["validation_squared_tokens"]


def test_length_sums():
    assert length_sums(np.array([3, 4, 5])) == {"tokens": 12, "squared_tokens": 50}
    assert length_sums(np.full(2, 60_000, dtype=np.int32))["squared_tokens"] == 7_200_000_000
