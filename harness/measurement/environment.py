"""What a measurement ran on: hardware, versions, and the environment variables that change speed."""

from __future__ import annotations

import dataclasses
import os
import platform
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil
import torch

from harness.errors import ConfigError
from harness.measurement.host import usable_cpus
from harness.measurement.metrics import GIB

PACKAGES = ("torch", "transformers", "datasets", "evaluate", "tensorboard", "nvidia-ml-py", "numpy")
"""What the harness needs."""

OTHER_PACKAGES = ("safetensors", "tokenizers", "huggingface_hub", "pyarrow", "accelerate", "triton", "scipy")
"""What bears on speed or numbers where it is installed; some come with the needed ones, none is missed."""

SPEED_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "KMP_AFFINITY",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "MALLOC_MMAP_MAX_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUBLAS_WORKSPACE_CONFIG",
    "TORCH_CUDAGRAPH_GC",
    "TRITON_CACHE_DIR",
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_COMPILE_DISABLE",
)


GPU_SETTINGS = (
    "driver_version", "power_limit_w", "max_sm_clock_mhz", "ecc", "mig", "is_slice", "compute_mode"
)  # fmt: skip
"""Of `nvml.GpuInfo`."""


def choose_device(wanted: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; ConfigError if CUDA was asked for and isn't there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "device is 'cuda' but PyTorch finds no CUDA device",
            remedy="use --device cpu, or install a CUDA build of torch and a driver",
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return hardware, versions and settings as plain data."""
    gpu: dict[str, Any] | None = None
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        gpu = {
            "name": properties.name,
            "uuid": str(properties.uuid),
            "memory_gib": round(properties.total_memory / GIB, 1),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        }
    versions = {name: [found.version for found in distributions(name=name)] for name in (*PACKAGES, *OTHER_PACKAGES)}
    return {
        "device": str(device),
        "device_name": cpu_name() if gpu is None else gpu["name"],
        "gpu": gpu,
        "cpu": cpu_name(),
        "cpu_cores": len(usable_cpus()),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
        "torch_threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: next(iter(found), None) for name, found in versions.items()},
        "variables": {name: os.environ[name] for name in SPEED_VARIABLES if name in os.environ},
    }


def describe_gpu_settings(device: torch.device) -> dict[str, Any] | None:
    """Return what NVML says of how the GPU is set up: limits and modes that change speed; None without NVML.

    It takes NVML's start, 0.1 to 0.2 s, which no job should wait for.
    """
    if device.type != "cuda":
        return None
    from harness.measurement import nvml  # importing pynvml takes time too

    try:
        gpu = nvml.open_gpu(gpu_uuid(device))
    except nvml.NvmlUnavailableError:
        return None
    settings = dataclasses.asdict(gpu.info)
    gpu.close()
    return {name: settings[name] for name in GPU_SETTINGS}


def gpu_uuid(device: torch.device) -> str | None:
    """Return the device's UUID, by which NVML finds the same GPU; None without CUDA."""
    return str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else None


def cpu_name() -> str:
    """Return the processor's name as the system gives it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
