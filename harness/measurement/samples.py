"""Samples of the GPU or the host: what one reading holds, and its CSV file.

Columns are found by their names, so that files of other versions are read too: a metric that a file lacks was not
measured, and one that this version does not know is kept. What was not measured is None and an empty cell, never 0.
"""

from __future__ import annotations

import csv
import io
import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import RecordError
from harness.measurement.metrics import METRICS, Metric, decode_throttle_reasons, metrics_by_name
from harness.records.files import write_text_atomic

TIME_COLUMN = "timestamp_s"

DECIMALS = 4
"""Kept of a reading; further ones are known of no metric, and were two thirds of a packed file."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One reading; `sample[metric]` is None where it was not measured."""

    timestamp_s: float
    """Seconds since the epoch (`time.time`), like the phases of a trial."""
    values: dict[str, float | None]
    """By the metric's name."""

    def __getitem__(self, name: str) -> float | None:
        return self.values.get(name)


def take_sample(source: str, reader: Any, refusals: tuple[type[Exception], ...]) -> Sample:
    """Read all metrics of a source; one that is refused is None and does not take the others with it."""
    values: dict[str, float | None] = {}
    for metric in METRICS[source]:
        try:
            value = metric.read(reader)
            values[metric.name] = None if value is None else round(metric.number(value), DECIMALS)
        except refusals:
            values[metric.name] = None
    return Sample(timestamp_s=round(time.time(), DECIMALS), values=values)


def known_values(samples: Sequence[Sample], name: str) -> list[float]:
    """Return the readings that there are of a metric."""
    return [value for value in (sample[name] for sample in samples) if value is not None]


def measured_metrics(samples: Sequence[Sample]) -> list[Metric]:
    """Return the metrics that were measured at all; one of another version is drawn by itself, under its name."""
    known = metrics_by_name()
    return [
        known.get(name, Metric(name=name, title=name, unit=None, panel=name, in_report=False, read=lambda _: None))
        for name in _columns(samples)
        if known_values(samples, name)
    ]


def throttle_reason_shares(samples: Sequence[Sample]) -> dict[str, float] | None:
    """Return for each reason that counts as throttling its share of the samples, the most frequent first."""
    readings = known_values(samples, "throttle_reasons")
    reasons = [decode_throttle_reasons(int(bits)) for bits in readings]
    counts = Counter(name for each in reasons for name, counted in each.items() if counted)
    return {name: count / len(readings) for name, count in counts.most_common()} if readings else None


def stretches_between(
    begin_s: float, end_s: float, pauses_s: Iterable[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the stretches, [begin, end], that pauses leave of a time."""
    ends_s = [begin_s, *(at_s for pause_s in sorted(pauses_s) for at_s in pause_s), end_s]
    return list(zip(ends_s[::2], ends_s[1::2], strict=True))


def cut_samples(samples: Sequence[Sample], stretches_s: Iterable[tuple[float, float]]) -> list[list[Sample]]:
    """Return the samples of each stretch, [begin, end]; one without any is left out."""
    cut = [[sample for sample in samples if begin_s <= sample.timestamp_s <= end_s] for begin_s, end_s in stretches_s]
    return list(filter(None, cut))


def write_samples_csv(path: Path, samples: Sequence[Sample]) -> None:
    """Write the samples, one a row, atomically; without samples only the column of times, so that the file is whole."""
    columns = _columns(samples)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([TIME_COLUMN, *columns])
    writer.writerows([sample.timestamp_s, *(sample[name] for name in columns)] for sample in samples)
    write_text_atomic(path, text.getvalue())


def read_samples_csv(path: Path) -> list[Sample]:
    """Read what `write_samples_csv` wrote, of this version or another.

    Raises:
        RecordError: when the file is missing or damaged; names the file and the line.
    """
    try:
        rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
        header = next(rows, [])
        if TIME_COLUMN not in header:
            raise ValueError(f"there is no column {TIME_COLUMN}")
        numbers = {TIME_COLUMN: float} | {name: metric.number for name, metric in metrics_by_name().items()}
        samples = []
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} cells instead of {len(header)}")
            values = {name: _number(name, cell, numbers.get(name)) for name, cell in zip(header, row, strict=True)}
            timestamp_s = values.pop(TIME_COLUMN)
            if timestamp_s is None:
                raise ValueError(f"{TIME_COLUMN} is empty")
            samples.append(Sample(timestamp_s=timestamp_s, values=values))
        return samples
    except FileNotFoundError:
        problem = "missing"
    except (OSError, UnicodeDecodeError) as error:
        problem = f"damaged: {error}"
    except (csv.Error, ValueError) as error:
        problem = f"damaged in line {max(1, rows.line_num)}: {error}"
    raise RecordError(f"{path} is {problem}", remedy="remove the trial and run it again")


def _columns(samples: Sequence[Sample]) -> list[str]:
    return list(dict.fromkeys(name for sample in samples for name in sample.values))


def _number(name: str, cell: str, number: type[int] | type[float] | None) -> float | None:
    """Return a cell's number; what is none is an error, but in a column of another version not known."""
    try:
        value = (number or float)(cell) if cell else None
    except ValueError:
        value = math.nan
    if value is None or math.isfinite(value):
        return value
    if number is None:
        return None
    raise ValueError(f"{name} is {cell!r}")
