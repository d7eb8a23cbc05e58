"""What is here, in which versions, and how long each stage of a start takes in one fresh process.

Printed line by line as it is found, so that a stage that hangs or fails has those before it on the terminal.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE))

ALSO = ("accelerate", "fsspec", "huggingface-hub", "numpy", "safetensors", "tokenizers", "triton")
"""Distributions whose versions matter beside those that the kit needs."""

SMI_FIELDS = (
    "name,driver_version,memory.total,power.limit,clocks.max.sm,persistence_mode,compute_mode,ecc.mode.current,"
    "mig.mode.current"
)


def describe_versions() -> list[str]:
    """Return one line a distribution, sorted."""
    from packages import NEEDED, version_of

    return [f"{name} {version_of(name) or 'missing'}" for name in sorted({*NEEDED, *ALSO})]


def describe_machine() -> list[str]:
    """Return Python, cores, space and what the driver says of its GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, {cores} cores",
        f"free on disk: {shutil.disk_usage(HERE).free / 2**30:.0f} GiB",
    ]
    query = ["nvidia-smi", f"--query-gpu={SMI_FIELDS}", "--format=csv"]
    if shutil.which(query[0]) is None:
        return [*lines, "nvidia-smi: not here"]
    try:
        said = subprocess.run(query, capture_output=True, text=True, check=False, timeout=10)
    except subprocess.TimeoutExpired:
        return [*lines, "nvidia-smi: no answer in 10 s"]
    return [*lines, *(said.stdout or said.stderr).strip().splitlines()]


def import_torch() -> str:
    """Import PyTorch."""
    import torch

    return f"{torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def make_context() -> str:
    """Have CUDA make its context."""
    import torch

    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
    return torch.cuda.get_device_name()


def multiply() -> str:
    """Multiply two matrices of the model's sizes, which loads cuBLAS."""
    import torch

    matrix = torch.ones(2900, 768, device="cuda", dtype=torch.bfloat16)
    torch.mm(matrix, matrix.t())
    torch.cuda.synchronize()
    return "bfloat16"


def import_harness() -> str:
    """Import what a worker imports before its first command, strategies included."""
    importlib.import_module("harness.experiment.session")
    registry = importlib.import_module("harness.registry")
    registry.load_all()
    brought = [name for name in ("transformers", "datasets", "evaluate", "torch._dynamo") if name in sys.modules]
    return f"{len(registry.names())} strategies; brought with it: {', '.join(brought) or 'nothing heavy'}"


def import_model_class() -> str:
    """Import transformers and the model class."""
    from transformers import AutoModelForQuestionAnswering

    return AutoModelForQuestionAnswering.__name__


def import_metric() -> str:
    """Import datasets and evaluate, through the metric."""
    importlib.import_module("harness.tasks.question_answering.squad_metric")
    return f"pyarrow {importlib.metadata.version('pyarrow')}"


def open_nvml() -> str:
    """Have NVML started, as the sampler does."""
    from harness.measurement.environment import choose_device, gpu_uuid
    from harness.measurement.nvml import open_gpu

    open_gpu(gpu_uuid(choose_device("cuda")) or "").close()
    return "opened"


STAGES: tuple[tuple[str, Callable[[], str], bool], ...] = (
    ("import torch", import_torch, False),
    ("CUDA context", make_context, True),
    ("first product", multiply, True),
    ("harness and strategies", import_harness, False),
    ("transformers, model class", import_model_class, False),
    ("datasets, evaluate", import_metric, False),
    ("NVML", open_nvml, True),
)
"""Name, what is done, whether it needs CUDA. What a stage brings with it costs a later one nothing."""


def main(arguments: list[str]) -> int:
    """Print all; exit status 1 if a stage failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args(arguments)
    for line in [*describe_machine(), *describe_versions()]:
        print(line, flush=True)
    failed = False
    for name, stage, needs_cuda in STAGES:
        if needs_cuda and options.device != "cuda":
            print(f"{name}: not on {options.device}", flush=True)
            continue
        start_s = time.perf_counter()
        try:
            found = stage()
            print(f"{name}: {time.perf_counter() - start_s:.2f} s ({found})", flush=True)
        except Exception:
            failed = True
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
