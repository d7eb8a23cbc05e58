"""The CUDA context made beside the imports."""

from __future__ import annotations

import pytest

from harness.experiment.cuda_start import DRIVER, retain_primary_context, start_context_beside


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


def test_the_primary_context_is_retained_in_another_thread():
    driver, asked = Driver(), []

    def load(name):
        asked.append(name)
        return driver

    start_context_beside(load).join(10)
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
