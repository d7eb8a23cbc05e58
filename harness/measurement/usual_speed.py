"""What the machine's usual speed is by the readings of the speedometer, and whether other readings are as usual.

Pure functions: at run time they tell which blocks and jobs are measured again, afterwards which jobs' times count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.records.machine import SpeedometerReading
from harness.statistics.estimate import MAD_TO_DEVIATION

if TYPE_CHECKING:
    from harness.records.trial import TrialRecord

RATES = ("matmul_gflops", "memory_gb_per_s", "sm_clock_mhz")
"""What a reading holds; each is held against its own median."""

LEAST_READINGS = 5
"""Fewer do not tell what is usual."""

SLOWER_BY = 0.15
"""Share by which a machine must differ to be called slower (or as much faster), however calm its readings are. On an
idle virtual machine they scatter by some percent; what spoilt jobs was a machine at half of its speed."""

SCATTERS = 4.0
"""Standard deviations of the readings by which a machine must differ: by chance one normal reading of 16,000 does."""


@dataclass(frozen=True, kw_only=True)
class UsualRate:
    """One of a reading's rates, over a run."""

    median: float
    most_deviation: float
    """Difference of logarithms beyond which it is another speed."""

    @property
    def least_share(self) -> float:
        """Share of the median below which it is another speed."""
        return math.exp(-self.most_deviation)


UsualSpeed = dict[str, UsualRate]
"""By the name of the rate; empty where too little was read to tell."""


def known_rates(readings: Iterable[SpeedometerReading], name: str) -> list[float]:
    """Return one of the rates of all readings that hold it."""
    return [rate for reading in readings if (rate := getattr(reading, name)) is not None and rate > 0]


def find_usual_speed(readings: Sequence[SpeedometerReading]) -> UsualSpeed:
    """Return the medians, and how far a rate may be from them: by its own scatter, and no less than `SLOWER_BY`.

    Median and median absolute deviation stand what fewer than half of the readings do (Huber 1981, "Robust
    Statistics", 5.1): a machine that is slow for a third of the run still counts as slow there.
    """
    usual = {}
    for name in RATES:
        rates = known_rates(readings, name)
        if len(rates) < LEAST_READINGS:
            continue
        middle = median(rates)
        deviation = MAD_TO_DEVIATION * median(abs(math.log(rate / middle)) for rate in rates)
        least = -math.log1p(-SLOWER_BY)
        usual[name] = UsualRate(median=middle, most_deviation=max(least, SCATTERS * deviation))
    return usual


def readings_of(records: Iterable[TrialRecord]) -> list[SpeedometerReading]:
    """Return all readings of a run, those of jobs that were measured again too."""
    readings: list[SpeedometerReading] = []
    for record in records:
        blocks = () if record.speed is None else record.speed.blocks
        readings += [*record.speedometer, *(block.speedometer for block in blocks if block.speedometer is not None)]
        readings += () if record.superseded is None else record.superseded.speedometer
    return readings


def shares_of_usual(readings: Sequence[SpeedometerReading], usual: UsualSpeed) -> dict[str, float]:
    """Return each rate as a share of its usual one: the geometric mean over these readings."""
    shares = {}
    for name, rate in usual.items():
        logs = [math.log(value / rate.median) for value in known_rates(readings, name)]
        if logs:
            shares[name] = math.exp(fmean(logs))
    return shares


def speed_share(readings: Sequence[SpeedometerReading], usual: UsualSpeed) -> float | None:
    """Return the machine's speed as a share of its usual one, by the rate that differs most; None if nothing tells."""
    return max(shares_of_usual(readings, usual).values(), key=lambda share: abs(math.log(share)), default=None)


def unusual_speed(readings: Sequence[SpeedometerReading], usual: UsualSpeed, *, in_all: bool = False) -> float | None:
    """Return the share of its usual speed that the machine had, if that was another speed; None if it was as usual.

    `in_all`: only if it was in every rate. So it is asked of pairs, which survive other speeds; others' traffic moves
    the memory's rate by half on a machine that is otherwise as usual.
    """
    shares = shares_of_usual(readings, usual)
    unusual = [share for name, share in shares.items() if abs(math.log(share)) > usual[name].most_deviation]
    if in_all and len(unusual) < len(shares):
        return None
    return max(unusual, key=lambda share: abs(math.log(share)), default=None)


def describe_unusual(share: float) -> str:
    """Say in words at which speed the machine ran."""
    return f"the machine ran at {share:.0%} of its usual speed"
