"""A run with everything that the dashboard shows, and TensorBoard's own application around the plugin."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tensorboard import program
from tensorboard.backend import application
from tensorboard.plugins.core import core_plugin
from werkzeug.test import Client

from harness.analysis.advice.findings import Diagnosis, Finding, Prediction, Roofline, RooflinePoint
from harness.analysis.trace.model import (
    CATEGORY_WORDS,
    KernelLine,
    Ledger,
    LedgerRow,
    StepPart,
    Waterfall,
    WaterfallBar,
)
from harness.records.store import ANALYSIS_FILE
from reports.build import build_reports
from reports.dashboard.plugin import SpeedproofPlugin

TIMES_MS = {
    "baseline": (210.0, 62.0, 118.0, 9.0, 41.0, 30.0, 6.0, 12.0, 3.0),
    "amp_bf16": (96.0, 40.0, 80.0, 8.0, 40.0, 33.0, 6.0, 9.0, 3.0),
    "fused_adamw+sdpa": (208.0, 21.0, 101.0, 9.0, 12.0, 28.0, 6.0, 8.0, 2.0),
}
"""Per step, in the order of `CATEGORY_WORDS`."""
RESIDUALS_MS = {"baseline": 9.0, "amp_bf16": -4.0, "fused_adamw+sdpa": 6.0}


def make_ledger(name: str) -> Ledger:
    """Return a ledger whose rows and residual sum up to its step."""
    times, total = TIMES_MS[name], sum(TIMES_MS[name])
    rows = tuple(
        LedgerRow(category=category, profiled_ms=1.1 * time, time_ms=time, share=time / total, events=10.0)
        for category, time in zip(CATEGORY_WORDS, times, strict=True)
    )
    kernels = tuple(
        KernelLine(name=f"aten::{category}_{part}", category=category, calls_per_step=12.0,
                   time_ms_per_step=time / (part + 2), share=time / (part + 2) / total)
        for category, time in zip(CATEGORY_WORDS, times, strict=True)
        for part in range(3)
    )  # fmt: skip
    return Ledger(
        time_kind="cpu",
        steps=3,
        windows_per_step=16.0,
        profiled_step_ms=1.1 * total,
        unprofiled_step_ms=total + RESIDUALS_MS[name],
        rows=rows,
        residual_ms=RESIDUALS_MS[name],
        parts=(StepPart(name="forward", profiled_ms=1.1 * total, share=1.0),),
        kernels=(*kernels, KernelLine(name="<img src=x onerror=alert(1)>", category="other", calls_per_step=1.0,
                                      time_ms_per_step=0.5, share=0.001)),
        host_ms=None,
    )  # fmt: skip


def make_waterfall(name: str) -> Waterfall:
    """Return the bars from the baseline's ledger to this one."""
    pairs = zip(CATEGORY_WORDS, TIMES_MS["baseline"], TIMES_MS[name], strict=True)
    bars = tuple(WaterfallBar(category=category, difference_ms=after - before) for category, before, after in pairs)
    begin, end = (sum(TIMES_MS[which]) + RESIDUALS_MS[which] for which in ("baseline", name))
    residual_ms = end - begin - sum(bar.difference_ms for bar in bars)
    return Waterfall(baseline_ms=begin, contender_ms=end, bars=bars, residual_ms=residual_ms)


DIAGNOSIS = Diagnosis(
    findings=(
        Finding(rule="matmul_bound", sentence="Matrix products take 43 % of a training step.", share=0.31,
                strategies=("amp_bf16",), job_speedup_bound=1.45),
        Finding(rule="padding_waste", sentence="26 % of the baseline's tokens are padding.", share=0.2, strategies=(),
                job_speedup_bound=1.25),
    ),
    predictions=(
        Prediction(contender="amp_bf16", rules=("matmul_bound",), job_speedup_bound=1.45, measured=1.3,
                   measured_low=1.28, measured_high=1.33, missed=False, sentence="Within the bound."),
        Prediction(contender="fused_adamw+sdpa", rules=(), job_speedup_bound=1.0, measured=1.12, measured_low=1.1,
                   measured_high=1.13, missed=True, sentence="Faster than predicted."),
    ),
)  # fmt: skip

ROOFLINE = Roofline(
    flops_per_useful_token=6.4e7,
    job_useful_flops=5.2e12,
    speed_of_light_s=11.4,
    best_dtype="float32",
    matmul_tflops={"float32": 0.45},
    copy_gb_per_s=12.0,
    points=(RooflinePoint(contender="baseline", useful_tflops=0.15, mfu=0.33, dtype="float32", mfu_dense_peak=None),),
    note="No vendor's peak is cited for this device.",
)


def explain(run: Path) -> None:
    """Put ledgers, waterfalls, diagnosis and roof into `analysis.json`."""
    path = run / ANALYSIS_FILE
    analysis = json.loads(path.read_text(encoding="utf-8"))
    analysis["diagnosis"], analysis["roofline"] = dataclasses.asdict(DIAGNOSIS), dataclasses.asdict(ROOFLINE)
    for contender in analysis["contenders"]:
        name = contender["name"]
        if name in TIMES_MS:
            contender["ledger"] = dataclasses.asdict(make_ledger(name))
            contender["waterfall"] = None if name == "baseline" else dataclasses.asdict(make_waterfall(name))
    path.write_text(json.dumps(analysis), encoding="utf-8")


@pytest.fixture(scope="session")
def explained_run(recorded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run with everything that the dashboard shows, but for a trace; tests that change it take `run`."""
    directory = recorded.record_run(tmp_path_factory.mktemp("dashboard") / "run")
    build_reports(directory)
    explain(directory)
    return directory


@pytest.fixture
def run(explained_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(explained_run, tmp_path / "run"))


@pytest.fixture
def connect() -> Any:
    """Return a factory of clients of TensorBoard's application, with nothing in it but its core and the dashboard."""

    def to(logdir: Path, **flags: str) -> Client:
        server = program.TensorBoard(plugins=[core_plugin.CorePluginLoader(), SpeedproofPlugin])
        options = [text for name, value in flags.items() for text in (f"--{name}", value)]
        server.configure(argv=["tensorboard", "--logdir", str(logdir), *options])
        return Client(application.TensorBoardWSGIApp(server.flags, server.plugin_loaders, data_provider=None))

    return to


@pytest.fixture
def client(run: Path, connect: Any) -> Client:
    """A client of TensorBoard on the run."""
    return connect(run / "tensorboard")


@pytest.fixture(scope="session")
def chromium() -> ModuleType:
    """The browser's starter, `browser.py`."""
    path = Path(__file__).with_name("browser.py")
    spec = importlib.util.spec_from_file_location("browser", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
