"""The roof of a run, measured in a process of its own before the first trial."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

from harness.config import RunConfig
from harness.errors import HarnessError
from harness.experiment.process import import_path
from harness.measurement.roof import RoofSpec
from harness.records.checks import RoofRecord
from harness.records.serialise import build

TIMEOUT_S = 120.0
"""Far more than the seconds that it takes, so that a machine that hangs says so."""


def measure_roof_of(config: RunConfig, sizes: dict[str, int]) -> RoofRecord | None:
    """Return the machine's roof for products of a model's shapes; None if it is not wanted or they aren't known.

    `harness.measurement.roof` measures it in a process of its own; HarnessError says why it could not.
    """
    if not config.roof or not sizes:
        return None
    spec = RoofSpec(
        device=config.device, hidden_size=sizes["hidden_size"], intermediate_size=sizes["intermediate_size"]
    )
    command = [sys.executable, "-m", "harness.measurement.roof", json.dumps(dataclasses.asdict(spec))]
    environment = {**os.environ, "PYTHONPATH": import_path()}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise _failure(f"it took more than {TIMEOUT_S:g} s") from None
    if done.returncode != 0:
        raise _failure((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return build(RoofRecord, json.loads(done.stdout.splitlines()[-1]))


def _failure(why: str) -> HarnessError:
    return HarnessError(
        f"the machine's matrix-product rate could not be measured: {why}",
        remedy="run with --no-roof, which leaves it out",
    )
