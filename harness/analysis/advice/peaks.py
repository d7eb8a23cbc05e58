"""Dense peak rates of GPUs, from their vendor's data sheets.

Sheets of Hopper and Ada headline the rate with 2:4 sparsity, which no training here uses: their tensor-core figures
are halved. Products accumulate in fp32, as PyTorch's do, so on GeForce the lower of two fp16 figures counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DensePeak:
    """What a kind of GPU can do according to its data sheet."""

    names: str
    """Regular expression for the whole name that the driver gives; a MIG slice or a laptop's GPU has another."""
    tflops: dict[str, float]
    """By dtype, as in `RoofRecord.matmul_tflops`."""
    source: str


def _tensor_core_peaks(*, half: float, tf32: float, float32: float) -> dict[str, float]:
    return {"bfloat16": half, "float16": half, "tf32": tf32, "float32": float32}


_HOPPER_SXM = _tensor_core_peaks(half=989.4, tf32=494.7, float32=66.9)

DENSE_PEAKS: tuple[DensePeak, ...] = (
    DensePeak(
        names=r"(NVIDIA )?A100-(SXM4|PCIE)-(40|80)GB|NVIDIA A100 80GB PCIe",
        tflops=_tensor_core_peaks(half=312.0, tf32=156.0, float32=19.5),
        source="NVIDIA A100 Tensor Core GPU data sheet (2021)",
    ),
    DensePeak(
        names=r"NVIDIA H100 80GB HBM3",
        tflops=_HOPPER_SXM,
        source="NVIDIA H100 Tensor Core GPU Architecture white paper (2023), table of the SXM5 board",
    ),
    DensePeak(
        names=r"NVIDIA H100 PCIe",
        # Sheet: 1,513, 756 and 51 TFLOPS, the first two with sparsity.
        tflops=_tensor_core_peaks(half=756.5, tf32=378.0, float32=51.0),
        source="NVIDIA H100 Tensor Core GPU data sheet (2023), PCIe",
    ),
    DensePeak(
        names=r"NVIDIA H200",
        # Sheet: 1,979, 989 and 67 TFLOPS, the first two with sparsity; it is the H100 SXM's chip.
        tflops=_HOPPER_SXM,
        source="NVIDIA H200 Tensor Core GPU data sheet (2024), SXM",
    ),
    DensePeak(
        names=r"NVIDIA L4",
        # Sheet: 242, 120 and 30.3 TFLOPS, the first two with sparsity.
        tflops=_tensor_core_peaks(half=121.0, tf32=60.0, float32=30.3),
        source="NVIDIA L4 Tensor Core GPU data sheet (2023)",
    ),
    DensePeak(
        names=r"NVIDIA L40S",
        tflops=_tensor_core_peaks(half=362.05, tf32=183.0, float32=91.6),
        source="NVIDIA L40S data sheet (2023)",
    ),
    DensePeak(
        names=r"NVIDIA GeForce RTX 4090",
        tflops=_tensor_core_peaks(half=165.2, tf32=82.6, float32=82.6),
        source="NVIDIA Ada GPU Architecture white paper (2022), appendix A",
    ),
    DensePeak(
        names=r"(NVIDIA )?GeForce RTX 3090",
        tflops=_tensor_core_peaks(half=71.0, tf32=35.6, float32=35.6),
        source="NVIDIA Ampere GA102 GPU Architecture white paper (2020), appendix A",
    ),
    DensePeak(
        names=r"Tesla V100-SXM2-(16|32)GB",
        tflops={"float16": 125.0, "float32": 15.7},
        source="NVIDIA V100 Tensor Core GPU data sheet (2020), SXM2",
    ),
    DensePeak(
        names=r"Tesla V100-PCIE-(16|32)GB",
        tflops={"float16": 112.0, "float32": 14.0},
        source="NVIDIA V100 Tensor Core GPU data sheet (2020), PCIe",
    ),
    DensePeak(
        names=r"Tesla T4",
        tflops={"float16": 65.0, "float32": 8.1},
        source="NVIDIA T4 Tensor Core GPU data sheet (2019)",
    ),
)


def find_dense_peak(device_name: str) -> DensePeak | None:
    """Return the entry of a device by its whole name; None if it has none: a guess would be worse."""
    return next((peak for peak in DENSE_PEAKS if re.fullmatch(peak.names, device_name)), None)
