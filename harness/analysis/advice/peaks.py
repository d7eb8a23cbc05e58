"""Dense peak rates of GPUs, from their vendor's data sheets (`dense_peaks.json`).

Sheets of Hopper and Ada headline the rate with 2:4 sparsity, which no training here uses: their tensor-core figures
are halved. Products accumulate in fp32, as PyTorch's do, so on GeForce the lower of two fp16 figures counts.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from harness.records.serialise import build


@dataclass(frozen=True, kw_only=True)
class DensePeak:
    """What a kind of GPU can do according to its data sheet."""

    names: str
    """Regular expression for the whole name that the driver gives; a MIG slice or a laptop's GPU has another."""
    tflops: dict[str, float]
    """By dtype, as in `RoofRecord.matmul_tflops`."""
    source: str


DENSE_PEAKS = [
    build(DensePeak, peak)
    for peak in json.loads(Path(__file__).with_name("dense_peaks.json").read_text(encoding="utf-8"))
]


def find_dense_peak(device_name: str) -> DensePeak | None:
    """Return the entry of a device by its whole name; None if it has none: a guess would be worse."""
    return next((peak for peak in DENSE_PEAKS if re.fullmatch(peak.names, device_name)), None)
