"""The ledger of a step and the waterfall between two of them: only data. What was not measured is None, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Category = Literal["matmul", "attention", "elementwise", "loss", "optimizer", "copies", "data", "idle", "other"]

CATEGORY_WORDS: dict[Category, str] = {
    "matmul": "matrix products",
    "attention": "attention",
    "elementwise": "normalisation, element-wise",
    "loss": "loss",
    "optimizer": "optimizer",
    "copies": "copies, casts",
    "data": "data loading",
    "idle": "launch gaps, idle",
    "other": "other",
}
"""Disjoint kinds of time in a step, in the order in which they are shown."""

CATEGORIES: tuple[Category, ...] = tuple(CATEGORY_WORDS)
"""A category's number is its place here."""

PartName = Literal["forward", "backward", "optimizer", "data", "other"]
PARTS: tuple[PartName, ...] = get_args(PartName)


@dataclass(frozen=True, kw_only=True)
class LedgerRow:
    """One category of a step."""

    category: Category
    profiled_ms: float
    """Per step, as the profiler saw it; over all rows they sum up to `Ledger.profiled_step_ms`."""
    time_ms: float
    """Per step, with the profiler's cost per recorded event taken out."""
    share: float
    """Of the sum of all rows' `time_ms`, 0 to 1."""
    events: float
    """Operators or kernels per step."""
    work: str = ""
    """Hash over what ran: names, shapes, types, calls per step. Empty where nothing did, or the trace can't tell."""


@dataclass(frozen=True, kw_only=True)
class StepPart:
    """Forward, backward, optimizer, data, or the rest of a step, as the loop's annotations divide it."""

    name: PartName
    profiled_ms: float
    """Per step; over all parts they sum up to `Ledger.profiled_step_ms`."""
    share: float


@dataclass(frozen=True, kw_only=True)
class KernelLine:
    """One kernel (CUDA) or operator (CPU) of the profiled steps."""

    name: str
    category: Category
    calls_per_step: float
    time_ms_per_step: float
    """Self time, as the profiler saw it."""
    share: float
    """Of all lines' time, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Where a step's time goes. Rows + residual = the unprofiled step."""

    time_kind: Literal["device", "cpu"]
    """Whose time the rows are: kernels on a device, or operators on processors."""
    steps: int
    """Profiled."""
    windows_per_step: float | None
    profiled_step_ms: float
    unprofiled_step_ms: float | None
    """Median step of the jobs; of a contender with timed segments: the baseline's, at the measured step speedup. None
    where no job was measured."""
    rows: tuple[LedgerRow, ...]
    """Every category once, in the order of `CATEGORY_WORDS`; a category that did not occur has 0 events."""
    residual_ms: float | None
    """Unprofiled step − sum of the rows: what the profiler's cost per event and drift of the machine leave
    unexplained. None without an unprofiled step."""
    parts: tuple[StepPart, ...]
    kernels: tuple[KernelLine, ...]
    """Longest first, all of them."""
    host_ms: float | None
    """Device ledgers: time per step in which the host was in runtime calls (launches, copies, synchronisations)."""
    notes: tuple[str, ...] = ()
    """What could not be told apart, in words."""
    unlike: str | None = None
    """Why the profiled steps say nothing of the timed ones, in words; None: they do."""
    page_faults: float | None = None
    """Pages of memory that the system handed out anew per profiled step; None: not measured."""
    system_ms: float | None = None
    """Processor time in the system per profiled step, for new memory above all; None: not measured."""


@dataclass(frozen=True, kw_only=True)
class WaterfallBar:
    """What one category contributes to the difference of two steps."""

    category: Category
    difference_ms: float
    """Contender − baseline, per as many windows as a baseline step has; negative is time saved."""


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """From the baseline's step to the contender's: baseline + bars + residual = contender."""

    baseline_ms: float
    contender_ms: float
    """For as many windows as the baseline's step has."""
    bars: tuple[WaterfallBar, ...]
    residual_ms: float
    """What the two ledgers leave unexplained."""
