"""A GPU seen through NVML: the same one that PyTorch uses, each metric read on its own.

What the driver refuses, or what an older driver or nvidia-ml-py does not know, costs that metric and no other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import psutil
import pynvml

from harness.errors import HarnessError
from harness.measurement.metrics import GIB
from harness.measurement.samples import Sample, take_sample

NVML_SUCCESS = 0

_MISSING = (pynvml.NVMLError, AttributeError)
"""A driver that refuses, and an nvidia-ml-py that does not have the name."""

T = TypeVar("T")


class NvmlUnavailableError(HarnessError):
    """NVML can't be used here: no driver, or it does not know the device."""


@dataclass(frozen=True, kw_only=True)
class GpuInfo:
    """What does not change while a GPU is watched; None where the driver does not say."""

    name: str | None
    uuid: str | None
    driver_version: str | None
    memory_total_gib: float | None
    power_limit_w: float | None
    """What the driver enforces now."""
    max_sm_clock_mhz: float | None
    ecc: bool | None
    """Whether error correction of the device memory is on."""
    mig: bool | None
    """Whether the GPU is divided into slices."""
    is_slice: bool | None
    """Whether this is such a slice; of it the driver reports neither utilisation nor power."""
    compute_mode: str | None
    """Who may use it: one of `COMPUTE_MODES`."""


COMPUTE_MODES = {0: "default", 1: "exclusive thread", 2: "prohibited", 3: "exclusive process"}
"""By NVML's number (`nvmlComputeMode_t`)."""


class EnergyReading(NamedTuple):
    """What is read of a GPU while its energy is measured."""

    time_s: float
    """By `time.monotonic`."""
    counter_j: float | None
    """Since the driver was loaded; it moves about every 100 ms."""
    power_w: float | None


class NvmlGpu:
    """One GPU; made by `open_gpu`, to be closed once."""

    def __init__(self, handle: Any, *, root_pid: int) -> None:
        self.handle = handle
        self.nvml = pynvml
        uuid = _try(lambda: str(pynvml.nvmlDeviceGetUUID(handle)))
        self.info = GpuInfo(
            name=_try(lambda: str(pynvml.nvmlDeviceGetName(handle))),
            uuid=uuid,
            driver_version=_try(lambda: str(pynvml.nvmlSystemGetDriverVersion())),
            memory_total_gib=_try(lambda: float(self.memory().total / GIB)),
            power_limit_w=_try(lambda: float(pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000.0)),
            max_sm_clock_mhz=_try(lambda: float(pynvml.nvmlDeviceGetMaxClockInfo(handle, pynvml.NVML_CLOCK_SM))),
            ecc=_try(lambda: bool(pynvml.nvmlDeviceGetEccMode(handle)[0])),
            mig=_try(lambda: bool(pynvml.nvmlDeviceGetMigMode(handle)[0])),
            is_slice=None if uuid is None else uuid.startswith("MIG-"),
            compute_mode=_try(lambda: COMPUTE_MODES.get(pynvml.nvmlDeviceGetComputeMode(handle))),
        )
        self.power_source: Literal["instant", "average"] | None = None
        """Where the last power came from; the driver's average runs over about 1 s on most GPUs since Ampere."""
        self._family = ProcessFamily(root_pid)
        self._utilisation: Any = None

    def read(self) -> Sample:
        """Return what the driver says now; a metric that it refuses is None and does not take the others with it."""
        self._utilisation = None
        return take_sample("nvml", self, _MISSING)

    def utilisation(self) -> Any:
        """Return the rates of the driver's last 1/6 to 1 s, of which two metrics are read: asked once a reading."""
        if self._utilisation is None:
            self._utilisation = pynvml.nvmlDeviceGetUtilizationRates(self.handle)
        return self._utilisation

    def memory(self) -> Any:
        """Return the device's memory: its total and what all processes use."""
        return pynvml.nvmlDeviceGetMemoryInfo(self.handle, version=pynvml.nvmlMemory_v2)

    def power_w(self) -> float | None:
        """Return the instant power, else the driver's average, else None."""
        fields = _try(lambda: pynvml.nvmlDeviceGetFieldValues(self.handle, [pynvml.NVML_FI_DEV_POWER_INSTANT]))
        if fields is not None and fields[0].nvmlReturn == NVML_SUCCESS:
            self.power_source = "instant"
            return float(fields[0].value.uiVal / 1000.0)
        average_mw = _try(lambda: pynvml.nvmlDeviceGetPowerUsage(self.handle))
        self.power_source = None if average_mw is None else "average"
        return None if average_mw is None else average_mw / 1000.0

    def energy_j(self) -> float | None:
        """Return the energy counter."""
        return _try(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1000.0)

    def sm_clock_mhz(self) -> float | None:
        """Return the clock of the multiprocessors."""
        return _try(lambda: float(pynvml.nvmlDeviceGetClockInfo(self.handle, pynvml.NVML_CLOCK_SM)))

    def throttle_reasons(self) -> int | None:
        """Return the bits of the reasons; drivers before 535 know them under the older name."""
        return _try(
            lambda: int(pynvml.nvmlDeviceGetCurrentClocksEventReasons(self.handle)),
            lambda: int(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle)),
        )

    def temperature_c(self) -> float | None:
        """Return the GPU's temperature; drivers before CUDA 13 know only the call without a version."""
        return _try(
            lambda: float(pynvml.nvmlDeviceGetTemperatureV(self.handle, pynvml.NVML_TEMPERATURE_GPU)),
            lambda: float(pynvml.nvmlDeviceGetTemperature(self.handle, pynvml.NVML_TEMPERATURE_GPU)),
        )

    def read_energy(self) -> EnergyReading:
        """Return the energy counter and the power alone."""
        counter_j = self.energy_j()
        return EnergyReading(time.monotonic(), counter_j, self.power_w())

    def count_others(self) -> int | None:
        """Return how many processes on the GPU are not of our family; None if that can't be known."""
        processes = _try(lambda: pynvml.nvmlDeviceGetComputeRunningProcesses_v3(self.handle))
        return None if processes is None else self._family.count_others({int(process.pid) for process in processes})

    def close(self) -> None:
        """Give NVML back; an error of the driver at the end is of no use to anybody."""
        _try(lambda: pynvml.nvmlShutdown())


class ProcessFamily:
    """Tells a process and its descendants from the others."""

    def __init__(self, root_pid: int) -> None:
        self._root_pid = root_pid
        self._is_kin: dict[int, bool | None] = {}

    def count_others(self, pids: set[int]) -> int | None:
        """Return how many of `pids` are not of the family; None if that can't be known.

        In a container the driver may list processes by the host's numbers. They are not to be found here, so one of
        them may be ourselves.
        """
        # Asking for a process's parents costs 0.5 ms, so it is done once for as long as the driver lists it.
        self._is_kin = {pid: self._is_kin[pid] if pid in self._is_kin else self._look_up(pid) for pid in pids}
        answers = list(self._is_kin.values())
        if None in answers and True not in answers:
            return None
        return sum(answer is not True for answer in answers)

    def _look_up(self, pid: int) -> bool | None:
        if pid == self._root_pid:
            return True
        try:
            return any(parent.pid == self._root_pid for parent in psutil.Process(pid).parents())
        except psutil.NoSuchProcess:
            return None
        except psutil.Error:
            return False  # it exists and hides from us: not one of ours


def open_gpu(uuid: str | None, index: int = 0, *, root_pid: int | None = None) -> NvmlGpu:
    """Return the GPU with this UUID, with or without "GPU-"; the one at `index` in NVML's order only without a UUID.

    NVML's order is the bus's, CUDA's may be another. `root_pid` (default: this process) is the head of the processes
    that count as ours.

    Raises:
        NvmlUnavailableError: without a driver or without such a device; its message says which.
    """
    try:
        pynvml.nvmlInit()
    except _MISSING as error:
        raise NvmlUnavailableError(f"NVML can't be used: {error}", remedy="install the NVIDIA driver") from None
    try:
        if uuid is None:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        elif uuid.startswith(("GPU-", "MIG-")):
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        else:
            try:
                handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
            except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
                handle = pynvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")  # a slice is a CUDA device of its own
        return NvmlGpu(handle, root_pid=os.getpid() if root_pid is None else root_pid)
    except _MISSING as error:
        _try(lambda: pynvml.nvmlShutdown())
        wanted = f"with UUID {uuid}" if uuid is not None else f"at index {index}"
        raise NvmlUnavailableError(f"NVML has no device {wanted}: {error}") from None


def _try(*calls: Callable[[], T]) -> T | None:
    """Return what the first call returns that the driver does not refuse, and nvidia-ml-py has a name for."""
    for call in calls:
        with suppress(*_MISSING):
            return call()
    return None
