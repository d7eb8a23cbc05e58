"""The fake NVML: a small library that takes the driver's place in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROBE = """
import json, sys
from dataclasses import asdict
from harness.errors import HarnessError
from harness.measurement.nvml import open_gpu
uuid, index, readings = json.loads(sys.argv[1])
try:
    gpu = open_gpu(uuid, index)
except HarnessError as error:
    print(json.dumps({"unavailable": error.message}))
    sys.exit()
samples = [gpu.read().values for _ in range(readings)]
gpu.close()
print(json.dumps({"info": asdict(gpu.info), "power_source": gpu.power_source, "samples": samples}))
"""

RunPython = Callable[..., Any]


def find_nvml_header() -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return next((header for folder in folders for header in Path(folder).glob("**/include/nvml.h")), None)


@pytest.fixture(scope="session")
def fake_nvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the fake driver library."""
    compiler, header = shutil.which("cc"), find_nvml_header()
    if compiler is None:
        pytest.skip("there is no C compiler 'cc' to build the fake NVML with")
    if header is None:
        pytest.skip("nvml.h is not installed (nvidia-nvml-dev)")
    library = tmp_path_factory.mktemp("fake_nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("fake_nvml.c")
    options = ["-shared", "-fPIC", "-Wall", "-Werror", "-Wno-deprecated-declarations", f"-I{header.parent}"]
    command = [compiler, *options, "-Wl,-soname,libnvidia-ml.so.1", "-o", str(library), str(source)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return library.parent


@pytest.fixture(scope="session")
def broken_nvml_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose driver library can't be loaded, so that a machine with a driver is like one without."""
    folder = tmp_path_factory.mktemp("broken_nvml")
    (folder / "libnvidia-ml.so.1").write_text("not a library")
    return folder


def run_python(folder: Path, code: str, *arguments: str, **variables: str) -> Any:
    """Run code whose driver library comes from `folder`; return the JSON it prints."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), **variables}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def run_with_fake_nvml(fake_nvml_folder: Path) -> RunPython:
    """Run code on a machine with the two fake GPUs; variables steer them."""
    return lambda code, *arguments, **variables: run_python(fake_nvml_folder, code, *arguments, **variables)


@pytest.fixture
def run_without_driver(broken_nvml_folder: Path) -> RunPython:
    """Run code on a machine without a driver."""
    return lambda code, *arguments, **variables: run_python(broken_nvml_folder, code, *arguments, **variables)


@pytest.fixture
def probe(run_with_fake_nvml: RunPython) -> RunPython:
    """Open a fake GPU, read it, and return all that is known of it."""

    def call(uuid: str | None = None, index: int = 0, readings: int = 1, **variables: str) -> Any:
        return run_with_fake_nvml(PROBE, json.dumps([uuid, index, readings]), **variables)

    return call
