"""allocator: settings that malloc obeys, set by the parent before the worker starts, for its contender only."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from harness import registry
from harness.experiment.footprint import process_flags
from harness.experiment.process import worker_environment
from harness.measurement.environment import describe_environment
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TrialSpec
from optimizations.allocator import is_glibc

ON_GLIBC = pytest.mark.skipif(not is_glibc(), reason="these are settings of glibc")

# A block of 64 MiB: by default glibc maps it, and then counts it in `hblks`.
MAPPED_BLOCKS = """
import ctypes
libc = ctypes.CDLL("libc.so.6")
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keep")]
libc.mallinfo2.restype = Info
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
before = libc.mallinfo2().hblks
libc.malloc(64 << 20)
print(libc.mallinfo2().hblks - before)
"""


def specify(contender, **changes):
    config = override(preset("smoke"), {key.replace("__", "."): value for key, value in changes.items()})
    return TrialSpec(
        contender=contender, seed=0, config=config, directory="d", cache_directory="c", compile_cache_directory="k"
    )


def settings(environment):
    return {name: environment.get(name) for name in ("GLIBC_TUNABLES", "MALLOC_MMAP_MAX_")}


def mapped_blocks(variables):
    run = subprocess.run(
        [sys.executable, "-c", MAPPED_BLOCKS],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(run.stdout)


@ON_GLIBC
def test_malloc_obeys_the_settings():
    assert mapped_blocks({}) == 1
    assert mapped_blocks(registry.get("allocator")().process_environment()) == 0


@ON_GLIBC
def test_only_its_own_workers_are_started_with_them(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    wanted = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "MALLOC_MMAP_MAX_": "0"}
    nothing = dict.fromkeys(wanted)
    assert settings(worker_environment(specify("allocator"))) == wanted
    assert settings(worker_environment(specify("fused_adamw+allocator"))) == wanted
    assert settings(worker_environment(specify("fused_adamw"))) == nothing
    assert settings(worker_environment(specify("baseline"))) == nothing
    assert settings(worker_environment(specify("baseline", baseline="allocator"))) == wanted


@ON_GLIBC
def test_records_and_footprint_show_them(make_setup, monkeypatch):
    setup = make_setup()
    before = process_flags(setup)
    for name, value in registry.get("allocator")().process_environment().items():
        monkeypatch.setenv(name, value)
    assert process_flags(setup) != before
    variables = describe_environment(torch.device("cpu"))["variables"]
    assert variables["MALLOC_TRIM_THRESHOLD_"] == "100000000000"
    assert "MALLOC_MMAP_MAX_=0" in registry.get("allocator")().apply(setup).knobs["allocator"]


def test_other_tunables_of_the_caller_stay(monkeypatch):
    monkeypatch.setattr("optimizations.allocator.is_glibc", lambda: True)
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0:glibc.malloc.arena_max=2")
    given = registry.get("allocator")().process_environment()
    assert given["GLIBC_TUNABLES"] == "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"


def test_the_knob_says_what_is_not_set(make_setup, monkeypatch):
    monkeypatch.delenv("MALLOC_TOP_PAD_", raising=False)
    assert "MALLOC_TOP_PAD_=unset" in registry.get("allocator")().apply(make_setup()).knobs["allocator"]


def test_refuses_gpus_and_other_c_libraries(make_setup, monkeypatch):
    strategy = registry.get("allocator")()
    assert "allocator of its own" in strategy.not_applicable(replace(make_setup(), device=torch.device("cuda")))
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert "settings of glibc" in strategy.not_applicable(make_setup())
    assert strategy.process_environment() == {}
