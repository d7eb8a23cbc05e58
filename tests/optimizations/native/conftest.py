"""The kernels, or the reason why they can't be had here."""

from __future__ import annotations

import pytest

from harness.errors import StrategyError
from optimizations.native.kernels import load_library


@pytest.fixture(scope="package", autouse=True)
def _kernels() -> None:
    try:
        load_library()
    except StrategyError as error:
        pytest.skip(str(error))
