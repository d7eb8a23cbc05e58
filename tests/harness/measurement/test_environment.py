"""What a measurement ran on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.cli import doctor
from harness.measurement import environment, nvml
from harness.measurement.environment import (
    OTHER_PACKAGES,
    PACKAGES,
    describe_environment,
    describe_gpu_settings,
)
from harness.measurement.nvml import GpuInfo, NvmlUnavailableError

CUDA = torch.device("cuda", 0)


def test_what_is_installed_beside_the_needed_packages_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.13.0", "safetensors": "0.8.0"}
    found = {name: [SimpleNamespace(version=version)] for name, version in versions.items()}
    monkeypatch.setattr(environment, "distributions", lambda name: found.get(name, []))
    packages = describe_environment(torch.device("cpu"))["packages"]
    assert (packages["torch"], packages["safetensors"], packages["triton"]) == ("2.13.0", "0.8.0", None)


@pytest.mark.parametrize(
    "name",
    [
        "CUDA_MODULE_LOADING",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "CUBLAS_WORKSPACE_CONFIG",
        "TORCH_CUDAGRAPH_GC",
        "TRITON_CACHE_DIR",
    ],
)
def test_variables_that_change_a_gpus_speed_are_recorded(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert describe_environment(torch.device("cpu"))["variables"][name] == "1"


def test_the_doctor_misses_no_package_that_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = dict.fromkeys(PACKAGES, "1.0") | dict.fromkeys(OTHER_PACKAGES)
    monkeypatch.setattr(doctor, "describe_environment", lambda device: {"packages": found})
    monkeypatch.setattr(doctor, "hub_reachable", lambda: False)
    (finding,) = (found for found in doctor.examine_software() if found.what == "packages")
    assert (finding.ok, finding.consequence) == (True, "complete")
    assert "triton" not in finding.found


def test_limits_and_modes_of_the_gpu_are_asked_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    info = GpuInfo(
        name="H100",
        uuid="GPU-1",
        driver_version="999.01",
        memory_total_gib=80.0,
        power_limit_w=700.0,
        max_sm_clock_mhz=1980.0,
        ecc=True,
        mig=False,
        is_slice=False,
        compute_mode=None,
    )
    monkeypatch.setattr(environment, "gpu_uuid", lambda device: "1")
    monkeypatch.setattr(nvml, "open_gpu", lambda uuid: SimpleNamespace(info=info, close=lambda: closed.append(uuid)))
    assert describe_gpu_settings(CUDA) == {
        "driver_version": "999.01",
        "power_limit_w": 700.0,
        "max_sm_clock_mhz": 1980.0,
        "ecc": True,
        "mig": False,
        "is_slice": False,
        "compute_mode": None,
    }
    assert closed == ["1"]


def test_without_nvml_nothing_is_known_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uuid: str) -> None:
        raise NvmlUnavailableError("no driver")

    monkeypatch.setattr(environment, "gpu_uuid", lambda device: "1")
    monkeypatch.setattr(nvml, "open_gpu", refuse)
    assert describe_gpu_settings(CUDA) is None
    assert describe_gpu_settings(torch.device("cpu")) is None
