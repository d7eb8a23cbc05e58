"""Energy of training per epoch and per useful token, from segments long enough for the GPU's counter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.measurement.energy import energy_note
from harness.records.checks import EnergyRecord, EnergyUse


@dataclass(frozen=True, kw_only=True)
class TrainingEnergy:
    """What one of both used."""

    epoch_j: float
    """Of one epoch's training: the segments' energy, scaled by the number of windows."""
    token_j: float
    """Per useful token."""
    power_w: float
    """Mean over the segments."""
    source: Literal["counter", "power"]
    """The driver's energy counter, or its power integrated where there is no counter."""
    energy_j: float | None
    """By the counter, in `window_s`."""
    integrated_j: float | None
    """By integrated power, in `window_s`."""
    window_s: float
    error_share: float
    """How far the energy may be off because the counter moves in steps."""


@dataclass(frozen=True, kw_only=True)
class EnergyEvidence:
    """Baseline and contender beside each other."""

    baseline: TrainingEnergy
    contender: TrainingEnergy
    ratio: float
    """Baseline's energy ÷ contender's over the same windows, like a speedup."""
    notes: tuple[str, ...]
    """What speaks against the numbers."""


def summarise_energy(record: EnergyRecord | None) -> EnergyEvidence | None:
    """Return energies per epoch and token; None where nothing was measured, or only one of both by the counter."""
    if record is None:
        return None
    with_counter = record.baseline.energy_j is not None and record.contender.energy_j is not None
    baseline = _per_work(record.baseline, record.epoch_windows, with_counter=with_counter)
    contender = _per_work(record.contender, record.epoch_windows, with_counter=with_counter)
    if baseline is None or contender is None:
        return None
    found = {
        who: energy_note(use.window_s, use.energy_j, use.integrated_j)
        for who, use in (("the baseline", record.baseline), ("it", record.contender))
    }
    notes = [f"{note}, for {who}" for who, note in found.items() if note is not None]
    return EnergyEvidence(
        baseline=baseline,
        contender=contender,
        ratio=baseline.epoch_j / contender.epoch_j,
        notes=(*notes, *record.contamination),
    )


def _per_work(use: EnergyUse, epoch_windows: int, *, with_counter: bool) -> TrainingEnergy | None:
    """Return a use per epoch and token: its mean power over the whole segments, by the work done in them."""
    energy_j = use.energy_j if with_counter else use.integrated_j
    if not energy_j or not use.window_s or not use.useful_tokens:
        return None
    power_w = energy_j / use.window_s
    segments_j = power_w * use.segment_s
    return TrainingEnergy(
        epoch_j=segments_j / use.windows * epoch_windows,
        token_j=segments_j / use.useful_tokens,
        power_w=power_w,
        source="counter" if with_counter else "power",
        energy_j=use.energy_j,
        integrated_j=use.integrated_j,
        window_s=use.window_s,
        error_share=use.error_s / use.window_s,
    )
