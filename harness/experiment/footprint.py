"""What really runs: the operators of a few steps with their dtypes and shapes, the layout of the weights, host code.

A strategy whose footprint is the baseline's has changed nothing, whatever the clock says.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from harness.experiment.segments import SegmentRunner
from harness.measurement.environment import SPEED_VARIABLES
from harness.records.checks import BlockKind, FootprintRecord
from harness.strategy import TrainSetup

HOST_FUNCTIONS = ("collate", "plan_batches", "load_batches", "make_scheduler", "make_step", "run_epoch", "evaluate")
"""What a setup does in Python around the operators. `forward_loss` and `make_optimizer` show in the operators."""

DENORMAL = 1e-40
"""A number below the least normal float32 (1.2e-38)."""

DRIVER_EVENT = re.compile(
    r"cuda[A-Z]|cu[A-Z]|Activity Buffer Request|Buffer Flush|Command Buffer Full|Instrumentation|Resource"
    r"|Lazy Function Loading|Runtime Triggered Module Loading|Driver Compiler"
)
"""Names of what CUDA's runtime and driver do for allocator, modules and the profiler itself: how often depends on what
the process did before, and the kernels are events of their own. Names from Kineto's and CUPTI's activity kinds."""

BASELINE_BATCHES = 2
"""Training batches of the baseline that a footprint covers."""


def take_footprint(runner: SegmentRunner, *, variables: Iterable[str] = ()) -> FootprintRecord:
    """Profile one training and one evaluation pass over the start of both sets. Nothing may be timed afterwards.

    `variables` are environment variables that strategies of the run set.
    """
    setup = runner.setup
    windows = runner.numbers("training")[: BASELINE_BATCHES * runner.baseline_batch_size]
    training = _profiled(runner, "training", windows)
    evaluation = _profiled(runner, "evaluation", runner.numbers("evaluation")[: setup.training.eval_batch_size])
    layout = [
        [name, str(p.dtype), list(p.shape), list(p.stride()), p.requires_grad]
        for name, p in setup.model.named_parameters()
    ]
    return FootprintRecord(
        training=training,
        evaluation=evaluation,
        parameters_sha256=hashlib.sha256(json.dumps(layout).encode()).hexdigest(),
        host_code={name: describe_code(getattr(setup, name)) for name in HOST_FUNCTIONS},
        flags=process_flags(setup, variables),
    )


def _profiled(runner: SegmentRunner, kind: BlockKind, numbers: list[int]) -> dict[str, int]:
    """Return name, dtypes and shapes of the profiler's events → how often; sorted by name."""
    runner.load_block(kind, numbers, rehearse=False)
    on_cuda = runner.setup.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if on_cuda else [])
    with profile(activities=activities, record_shapes=True) as profiler:
        runner.run(repetitions=1)
    kineto: Any = profiler.profiler
    counts: Counter[str] = Counter()
    for event in kineto.kineto_results.events():
        # Of the driver's events only those that wait for the device count: a wait is a change, and no kernel shows it.
        if DRIVER_EVENT.match(event.name()) and "Synchronize" not in event.name():
            continue
        detail = json.dumps([event.dtypes(), event.shapes()], separators=(",", ":")) if event.dtypes() else ""
        counts[f"{event.name()} {detail}".strip()] += 1
    return dict(sorted(counts.items()))


def describe_code(function: Callable[..., Any]) -> str:
    """Return a function's full name and a hash of its code and of the plain values that it closes over.

    Functions that it closes over are not followed: operators tell what those do.
    """
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    name = f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    if code is None:
        return name
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    plain = [value for value in (*code.co_consts, *cells) if isinstance(value, (int, float, str))]
    digest = hashlib.sha256(code.co_code + repr((code.co_names, plain)).encode()).hexdigest()
    return f"{name}#{digest[:12]}"


def process_flags(setup: TrainSetup, variables: Iterable[str] = ()) -> dict[str, str]:
    """Return the settings of the process that change speed or numbers."""
    watched = sorted({*SPEED_VARIABLES, *variables})
    flags: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "default_dtype": torch.get_default_dtype(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
        "tf32_cudnn": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_attention": torch.backends.cuda.cudnn_sdp_enabled(),  # type: ignore[no-untyped-call]
        "fp32_matmul": setup.fp32_matmul,
        "compute_dtype": setup.compute_dtype,
        "gradient_scaling": setup.gradient_scaling,
        "flush_denormals": bool(torch.tensor(DENORMAL, dtype=torch.float32) * 1.0 == 0.0),
        "garbage_collection": gc.isenabled(),
        "garbage_collection_thresholds": gc.get_threshold(),
        # How many objects are frozen differs from process to process.
        "garbage_collection_frozen": gc.get_freeze_count() > 0,
        # Those that this process may run on, where the system says it.
        "processors": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        **{name: os.environ[name] for name in watched if name in os.environ},
    }
    return {name: str(value) for name, value in flags.items()}
