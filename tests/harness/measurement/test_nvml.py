from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from harness.measurement import metrics, nvml
from harness.measurement.conditions import ConditionsWatch
from harness.measurement.nvml import NvmlUnavailableError, ProcessFamily, open_gpu

SLOW = "aaaaaaaa-0000-0000-0000-000000000001"
FAST = "bbbbbbbb-0000-0000-0000-000000000002"

Probe = Callable[..., Any]

METRICS_BY_REFUSAL = {
    "utilisation": {"gpu_utilisation_percent", "memory_utilisation_percent"},
    "memory": {"memory_used_gib"},
    "energy": {"energy_j"},
    "sm_clock": {"sm_clock_mhz"},
    "memory_clock": {"memory_clock_mhz"},
    "temperature": {"temperature_c"},
    "reasons": {"throttle_reasons"},
    "processes": {"other_processes"},
    "instant_power,average_power": {"power_w"},
}


@pytest.mark.parametrize("uuid", [FAST, f"GPU-{FAST}"])
def test_device_is_matched_by_uuid_and_not_by_order(probe: Probe, uuid: str) -> None:
    seen = probe(uuid, index=0)
    assert seen["info"] == {
        "name": "Fake GPU fast",
        "uuid": f"GPU-{FAST}",
        "driver_version": "999.01",
        "memory_total_gib": 16.0,
        "power_limit_w": 700.0,
        "max_sm_clock_mhz": 1980.0,
        "ecc": True,
        "mig": False,
        "is_slice": False,
        "compute_mode": "exclusive process",
    }
    (sample,) = seen["samples"]
    assert sample == {
        "gpu_utilisation_percent": 80.0,
        "memory_utilisation_percent": 20.0,
        "memory_used_gib": 2.0,
        "power_w": 300.0,
        "energy_j": 2.5,
        "sm_clock_mhz": 1800.0,
        "memory_clock_mhz": 2600.0,
        "temperature_c": 60.0,
        "throttle_reasons": 0,
        "other_processes": 0,
    }


def test_index_is_used_only_without_a_uuid(probe: Probe) -> None:
    assert probe(None, index=1)["info"]["uuid"] == f"GPU-{FAST}"
    assert probe(SLOW, index=1)["info"]["uuid"] == f"GPU-{SLOW}"


def test_unknown_uuid_is_refused_instead_of_taking_another_device(probe: Probe) -> None:
    assert "cccccccc" in probe("cccccccc-0000")["unavailable"]


def test_index_beyond_the_last_device_is_refused(probe: Probe) -> None:
    assert "index 2" in probe(None, index=2)["unavailable"]


@pytest.mark.parametrize("refused", METRICS_BY_REFUSAL)
def test_one_missing_metric_keeps_the_others(probe: Probe, refused: str) -> None:
    (sample,) = probe(SLOW, FAKE_NVML_REFUSED=refused)["samples"]
    assert {name for name, value in sample.items() if value is None} == METRICS_BY_REFUSAL[refused]


def test_missing_static_facts_do_not_prevent_sampling(probe: Probe) -> None:
    seen = probe(SLOW, FAKE_NVML_REFUSED="driver_version,power_limit,memory")
    assert (seen["info"]["driver_version"], seen["info"]["power_limit_w"]) == (None, None)
    assert seen["samples"][0]["power_w"] == 150.0


@pytest.mark.parametrize(
    ("refused", "source", "power_w"),
    [
        ("", "instant", 150.0),
        ("instant_power", "average", 120.0),
        ("fields", "average", 120.0),
        ("instant_power,average_power", None, None),
    ],
)
def test_power_falls_back_to_the_average_and_says_so(
    probe: Probe, refused: str, source: str | None, power_w: float | None
) -> None:
    seen = probe(SLOW, FAKE_NVML_REFUSED=refused)
    assert (seen["power_source"], seen["samples"][0]["power_w"]) == (source, power_w)


def test_older_drivers_calls_for_temperature_and_reasons_are_used(probe: Probe) -> None:
    (sample,) = probe(SLOW, FAKE_NVML_REFUSED="temperature_v,event_reasons", FAKE_NVML_REASONS="0x24")["samples"]
    assert (sample["temperature_c"], sample["throttle_reasons"]) == (31.0, 0x24)


def test_energy_counter_is_in_joules_and_rises(probe: Probe) -> None:
    samples = probe(SLOW, readings=3)["samples"]
    assert [sample["energy_j"] for sample in samples] == [1.5, 2.0, 2.5]


def test_foreign_process_is_counted_and_our_own_is_not(probe: Probe) -> None:
    (sample,) = probe(SLOW, FAKE_NVML_PROCESSES=f"self,{os.getpid()}")["samples"]
    assert sample["other_processes"] == 1


def test_only_our_own_process_counts_as_nobody_else(probe: Probe) -> None:
    (sample,) = probe(SLOW, FAKE_NVML_PROCESSES="self")["samples"]
    assert sample["other_processes"] == 0


def test_process_numbers_of_another_namespace_count_as_unknown(probe: Probe) -> None:
    (sample,) = probe(SLOW, FAKE_NVML_PROCESSES="2147483000")["samples"]
    assert sample["other_processes"] is None


def test_our_children_are_not_others() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert ProcessFamily(os.getpid()).count_others({os.getpid(), child.pid, os.getppid()}) == 1
        assert ProcessFamily(child.pid).count_others({os.getpid(), child.pid}) == 1
    finally:
        child.communicate(b"\n")


def test_driver_that_does_not_start_is_named(probe: Probe) -> None:
    assert "Driver Not Loaded" in probe(SLOW, FAKE_NVML_REFUSED="init")["unavailable"]


NEEDED_TO_OPEN = {"nvmlInit", "nvmlDeviceGetHandleByUUID", "NVMLError_NotFound"}

LOST_WITH_NAME: dict[str, set[str]] = {
    "NVML_CLOCK_MEM": {"memory_clock_mhz"},
    "NVML_CLOCK_SM": {"sm_clock_mhz", "max_sm_clock_mhz"},
    "NVML_FI_DEV_POWER_INSTANT": set(),
    "NVML_TEMPERATURE_GPU": {"temperature_c"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz", "memory_clock_mhz"},
    "nvmlDeviceGetComputeMode": {"compute_mode"},
    "nvmlDeviceGetComputeRunningProcesses_v3": {"other_processes"},
    "nvmlDeviceGetCurrentClocksEventReasons": set(),
    "nvmlDeviceGetCurrentClocksThrottleReasons": set(),
    "nvmlDeviceGetEccMode": {"ecc"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit_w"},
    "nvmlDeviceGetFieldValues": set(),
    "nvmlDeviceGetHandleByIndex": set(),
    "nvmlDeviceGetMaxClockInfo": {"max_sm_clock_mhz"},
    "nvmlDeviceGetMemoryInfo": {"memory_used_gib", "memory_total_gib"},
    "nvmlDeviceGetMigMode": {"mig"},
    "nvmlDeviceGetName": {"name"},
    "nvmlDeviceGetPowerUsage": set(),
    "nvmlDeviceGetTemperature": set(),
    "nvmlDeviceGetTemperatureV": set(),
    "nvmlDeviceGetTotalEnergyConsumption": {"energy_j"},
    "nvmlDeviceGetUUID": {"uuid", "is_slice"},
    "nvmlDeviceGetUtilizationRates": {"gpu_utilisation_percent", "memory_utilisation_percent"},
    "nvmlMemory_v2": {"memory_used_gib", "memory_total_gib"},
    "nvmlShutdown": set(),
    "nvmlSystemGetDriverVersion": {"driver_version"},
    "NVMLError_InvalidArgument": set(),
}
"""What is not known without each name of nvidia-ml-py; nothing where another call says it too."""


def names_used() -> set[str]:
    """Return the names that are taken from `pynvml`, or in the table of metrics from a GPU's `nvml`."""
    trees = [ast.parse(Path(module.__file__).read_text(encoding="utf-8")) for module in (nvml, metrics)]
    attributes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in attributes if ast.unparse(node.value) in ("pynvml", "gpu.nvml")}


def refuse(*_: object) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def stand_in(*, without: str) -> SimpleNamespace:
    """Return an nvidia-ml-py of one GPU that lacks a name."""
    constants = {name: getattr(pynvml, name) for name in names_used() if not name.startswith("nvmlDevice")}
    known = {
        **constants,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: "999.01",
        "nvmlDeviceGetHandleByUUID": lambda uuid: "handle",
        "nvmlDeviceGetHandleByIndex": lambda index: "handle",
        "nvmlDeviceGetName": lambda handle: "Stand-in",
        "nvmlDeviceGetUUID": lambda handle: f"GPU-{SLOW}",
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=40, memory=10),
        "nvmlDeviceGetMemoryInfo": lambda handle, version: SimpleNamespace(used=2**30, total=2**34),
        "nvmlDeviceGetFieldValues": lambda handle, fields: [
            SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=150_000))
        ],
        "nvmlDeviceGetPowerUsage": lambda handle: 120_000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 350_000,
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: 1500,
        "nvmlDeviceGetClockInfo": lambda handle, kind: 900,
        "nvmlDeviceGetMaxClockInfo": lambda handle, kind: 1980,
        "nvmlDeviceGetEccMode": lambda handle: [1, 1],
        "nvmlDeviceGetMigMode": lambda handle: [0, 0],
        "nvmlDeviceGetComputeMode": lambda handle: 0,
        "nvmlDeviceGetTemperatureV": lambda handle, sensor: 30,
        "nvmlDeviceGetTemperature": lambda handle, sensor: 30,
        "nvmlDeviceGetCurrentClocksEventReasons": lambda handle: 0,
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda handle: 0,
        "nvmlDeviceGetComputeRunningProcesses_v3": lambda handle: [],
    }
    return SimpleNamespace(**{name: value for name, value in known.items() if name != without})


def read_all(monkeypatch: pytest.MonkeyPatch, without: str) -> dict[str, Any]:
    monkeypatch.setattr(nvml, "pynvml", stand_in(without=without))
    gpu = open_gpu(SLOW)
    values = asdict(gpu.info) | gpu.read().values
    watch = ConditionsWatch([], gpu)
    with watch.during("baseline"):
        pass
    watch.finish(allocator_retries=None)
    gpu.close()
    return values


def test_every_name_of_nvidia_ml_py_is_in_the_table() -> None:
    assert names_used() - {"NVMLError"} == NEEDED_TO_OPEN | set(LOST_WITH_NAME)


@pytest.mark.parametrize("name", LOST_WITH_NAME)
def test_a_name_that_is_missing_costs_its_own_metric_only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    values = read_all(monkeypatch, without=name)
    assert {metric for metric, value in values.items() if value is None} == LOST_WITH_NAME[name]


@pytest.mark.parametrize("name", ["nvmlInit", "nvmlDeviceGetHandleByUUID"])
def test_without_what_opens_it_nvml_is_unavailable_and_the_name_is_said(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(nvml, "pynvml", stand_in(without=name))
    with pytest.raises(NvmlUnavailableError, match=name):
        open_gpu(SLOW)


def test_a_slice_is_known_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sliced = stand_in(without="")
    sliced.nvmlDeviceGetUUID = lambda handle: f"MIG-{SLOW}"
    sliced.nvmlDeviceGetUtilizationRates = refuse
    monkeypatch.setattr(nvml, "pynvml", sliced)
    gpu = open_gpu(f"MIG-{SLOW}")
    assert (gpu.info.is_slice, gpu.read()["gpu_utilisation_percent"]) == (True, None)
