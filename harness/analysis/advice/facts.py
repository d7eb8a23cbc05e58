"""What the rules of the diagnosis look at: one configuration's job, its step, its settings and the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.analysis.advice.amdahl import EVALUATION, NOT_IN_EVALUATION, TRAINING, WHOLE, Cell, Removal
from harness.analysis.trace.model import Category, Ledger, LedgerRow
from harness.records.strategy import StrategyRecord
from harness.records.trial import Settings


@dataclass(frozen=True, kw_only=True)
class OneTimeCost:
    """What a contender that compiles pays once, and when that is earned back."""

    contender: str
    extra_s: float
    """Warm-up beyond the baseline's, compiler caches cold."""
    contender_s: float
    """Its whole job."""
    baseline_s: float
    saved_per_step_s: float | None
    break_even_steps: float | None
    """None if it never is."""
    steps: float
    """Of the baseline's job."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One configuration: its job's phases, its step's ledger, its settings, and the machine. None is "not known"."""

    phases_s: dict[str, float]
    """Disjoint; their sum is the job."""
    ledger: Ledger | None
    computed_per_useful: float | None = None
    """Tokens with padding ÷ tokens without."""
    settings: Settings = field(default_factory=Settings)
    device: Literal["cpu", "cuda"] = "cpu"
    fast_dtypes: tuple[str, ...] = ()
    """Types whose products are faster than fp32's on this device."""
    matmul_tflops: dict[str, float] = field(default_factory=dict)
    """Measured rate by dtype; empty without a roof."""
    achieved_tflops: float | None = None
    """Rate of the matrix products of a step."""
    peak_memory_gib: float | None = None
    memory_gib: float | None = None
    """Of the device; without one of the machine."""
    allocator_retries: int | None = None
    one_time_costs: tuple[OneTimeCost, ...] = ()
    catalogue: tuple[StrategyRecord, ...] = ()
    """What can be advised, in that order."""

    @property
    def job_s(self) -> float:
        """The whole job."""
        return sum(self.phases_s.values())

    @property
    def cells(self) -> dict[Cell, float]:
        """The job's seconds; their sum is the sum of the phases.

        Training is divided as the ledger's rows. Evaluation is not profiled: its forward passes are divided as the rows
        that a forward pass has, too. Other phases, and all of them without a ledger, stay whole.
        """
        cells: dict[Cell, float] = {}
        for phase, time_s in self.phases_s.items():
            rows = () if self.ledger is None or phase not in (TRAINING, EVALUATION) else self.ledger.rows
            divided = [row for row in rows if phase == TRAINING or row.category not in NOT_IN_EVALUATION]
            total = sum(row.share for row in divided)
            if total > 0:
                cells |= {(phase, str(row.category)): row.share / total * time_s for row in divided}
            else:
                cells[phase, WHOLE] = time_s
        return cells

    def row(self, category: Category) -> LedgerRow | None:
        """Return a row of the ledger; None without a ledger."""
        rows = () if self.ledger is None else self.ledger.rows
        return next((row for row in rows if row.category == category), None)

    def phases(self, names: Sequence[str]) -> float:
        """Return the seconds of several phases together."""
        return sum(self.phases_s.get(name, 0.0) for name in names)


def of_step(removal: Mapping[str, float]) -> Removal:
    """Return the removal of shares of the step's categories: training only."""
    return {(TRAINING, category): share for category, share in removal.items()}


def of_passes(removal: Mapping[str, float]) -> Removal:
    """Return the removal of shares of categories wherever the model runs: training and evaluation."""
    return {(phase, category): share for phase in (TRAINING, EVALUATION) for category, share in removal.items()}
