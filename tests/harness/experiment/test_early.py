"""What is left out of the import of PyTorch: training is the same without it, and whoever needs it has it."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest

from harness.experiment.early import (
    DRIVER,
    META_KERNELS,
    TRIED,
    retain_primary_context,
    without_collector,
)

CODE = """
import json, sys
from harness.experiment.early import META_KERNELS, _Deferred, defer_meta_kernels, register_meta_kernels
how = sys.argv[1]
if how != "plain":
    defer_meta_kernels()
import torch
absent = isinstance(sys.modules[META_KERNELS], _Deferred)
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Embedding(9, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 8), torch.nn.Dropout())
loss = torch.nn.functional.cross_entropy(model(torch.arange(9)), torch.arange(9) % 8)
loss.backward()
if how == "registered":
    register_meta_kernels()
elif how == "compiled":
    import torch._dynamo
later = isinstance(sys.modules[META_KERNELS], _Deferred)
there = hasattr(sys.modules[META_KERNELS], "meta_mm")
print(json.dumps([absent, later, loss.item(), model[2].weight.grad.sum().item(), there]))
"""


def run(how):
    result = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def test_training_is_the_same_without_meta_kernels_and_they_come_when_asked_for():
    absent, later, *numbers, there = run("plain")
    assert (absent, later, there) == (False, False, True)
    for how in ("deferred", "registered", "compiled"):
        was_absent, still_absent, *given, is_there = run(how)
        assert was_absent, how
        assert still_absent is (how == "deferred"), how
        assert is_there is (how != "deferred"), how
        assert given == numbers, how


def test_an_unknown_pytorch_is_imported_whole():
    code = (
        "import importlib.metadata, sys; from harness.experiment import early; "
        "early.version = lambda _: '9.0.0'; early.defer_meta_kernels(); "
        f"print({META_KERNELS!r} in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
    assert not "9.0.0".startswith(TRIED)


def test_the_collector_is_off_inside_and_on_again_after_an_error():
    try:
        with without_collector():
            assert not gc.isenabled()
            raise KeyError
    except KeyError:
        pass
    assert gc.isenabled()
    gc.unfreeze()


class Driver:
    """A stand-in for libcuda: notes the calls, and may refuse one."""

    def __init__(self, refused: str | None = None) -> None:
        self.calls: list[str] = []
        self._refused = refused

    def __getattr__(self, name):
        def call(*_):
            self.calls.append(name)
            return 100 if name == self._refused else 0

        return call


def test_the_primary_context_is_retained():
    driver, asked = Driver(), []

    def load(name):
        asked.append(name)
        return driver

    assert retain_primary_context(load)
    assert asked == [DRIVER]
    assert driver.calls == ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"]


@pytest.mark.parametrize("refused", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"])
def test_what_the_driver_refuses_ends_it_without_an_error(refused):
    driver = Driver(refused)
    assert not retain_primary_context(lambda _: driver)
    assert driver.calls[-1] == refused


def test_without_a_driver_nothing_happens():
    def load(_):
        raise OSError("libcuda.so.1: cannot open shared object file")

    assert not retain_primary_context(load)
