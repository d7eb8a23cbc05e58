"""Build the C++ kernels for this processor with the system's compiler, once; later processes find them in a cache."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StrategyError
from harness.strategy import default_cache_directory

SOURCES = ("fused.cpp", "numeric.h")
"""In this folder; the first one is compiled."""

FLAGS = (
    "-O3",
    "-march=native",
    "-std=c++17",
    "-shared",
    "-fPIC",
    "-fopenmp",
    # Neither changes a result; without them loops with comparisons and square roots don't vectorise.
    "-fno-math-errno",
    "-fno-trapping-math",
)

TIMEOUT_S = 300.0
"""A build takes seconds; this ends a compiler that hangs."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """A library that is ready to be loaded."""

    path: Path
    compiler: str
    """First line of its version."""
    time_s: float | None
    """How long the compiler ran; None if the library was in the cache."""


def find_compiler() -> str | None:
    """Return the path of $CXX, g++, clang++ or c++, whichever is there first."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next(filter(None, (shutil.which(name) for name in names if name)), None)


def cache_directory() -> Path:
    """Return where built libraries are kept.

    Beside torch.compile's cache if that one has a place of its own: whoever asks for a cold start gets one here too.
    """
    inductor = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    return (Path(inductor) if inductor else default_cache_directory()) / "native"


def build() -> Build:
    """Return the library for this source, compiler and processor; StrategyError says why there is none."""
    compiler = find_compiler()
    if compiler is None:
        raise StrategyError(
            "the C++ kernels need a compiler (g++ or clang++), none is installed", remedy="install g++, or set CXX"
        )
    version = _run([compiler, "--version"]).stdout.strip().partition("\n")[0] or compiler
    try:
        processor = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        processor = []
    # Linux lists the processor's features; `-march=native` makes the library this processor's only.
    features = next((line for line in processor if line.startswith(("flags", "Features"))), platform.processor())
    digest = hashlib.sha256()
    for part in (version, " ".join(FLAGS), platform.machine(), features):
        digest.update(part.encode() + b"\0")
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes() + b"\0")
    path = cache_directory() / f"fused-{digest.hexdigest()[:16]}.so"
    if path.is_file():
        return Build(path=path, compiler=version, time_s=None)
    start_s = time.perf_counter()
    compile_to(path, compiler)
    return Build(path=path, compiler=version, time_s=time.perf_counter() - start_s)


def compile_to(path: Path, compiler: str) -> None:
    """Compile into `path`, complete or not at all; StrategyError with the compiler's first error."""
    source = Path(__file__).with_name(SOURCES[0])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            output = Path(folder) / path.name
            done = _run([compiler, *FLAGS, str(source), "-o", str(output)])
            if done.returncode != 0 or not output.is_file():
                lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
                lines.append(f"exit status {done.returncode}")
                error = next((line for line in lines if "error" in line), lines[0])
                raise StrategyError(
                    f"{compiler} can't build the C++ kernels: {error}", remedy="set CXX to another compiler with OpenMP"
                )
            output.replace(path)
    except OSError as error:
        raise StrategyError(
            f"the C++ kernels can't be kept in {path.parent}: {error}", remedy="set XDG_CACHE_HOME to a writable folder"
        ) from error


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StrategyError(f"{command[0]} does not run: {error}", remedy="set CXX to another compiler") from error
