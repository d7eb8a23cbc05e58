"""What the dashboard draws over time: losses, scores and samples, thinned to what a screen can show."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from harness.errors import RecordError
from harness.measurement.metrics import arrange_panels
from harness.measurement.samples import (
    measured_metrics,
    read_samples_csv,
    stretches_between,
    throttle_reason_shares,
)
from harness.records.store import TRIAL_FILE, read_record, read_steps
from harness.records.trial import StepRecord, TrialRecord
from reports.dashboard.runs import file_inside, find_jobs
from reports.phases import training_start_s
from reports.thinning import bucket_size, thin


def curves(run: Path) -> dict[str, Any]:
    """Return loss and scores of each whole fine-tuning against the seconds since its process started.

    A trial that can't be read is left out and named in `problems`.
    """
    drawn, problems = [], []
    for folder in find_jobs(run):
        if not (folder / TRIAL_FILE).is_file():
            continue
        try:
            record = read_record(folder / TRIAL_FILE, TrialRecord)
            if record.kind == "job" and record.status == "done":
                drawn.append(_curve(record, read_steps(folder)))
        except (RecordError, OSError) as error:
            problems.append(f"left out: {error}")
    return {"curves": drawn, "problems": problems}


def _curve(record: TrialRecord, steps: Sequence[StepRecord]) -> dict[str, Any]:
    """Steps and evaluations take turns: an epoch's evaluation passes before the next epoch's first step."""
    start_s = training_start_s(record.phases_s)
    evaluation_s = [0.0, *accumulate(epoch.evaluation_time_s for epoch in record.epochs)]
    trained_s = accumulate(step.time_s for step in steps)
    step_ends_s = [
        start_s + trained + evaluation_s[min(step.epoch - 1, len(evaluation_s) - 1)]
        for step, trained in zip(steps, trained_s, strict=True)
    ]
    epoch_ends_s = accumulate(epoch.train_time_s + epoch.evaluation_time_s for epoch in record.epochs)
    return {
        "contender": record.contender,
        "seed": record.seed,
        "training_start_s": start_s,
        "step_times_s": thin(step_ends_s),
        "losses": thin([step.loss for step in steps]),
        "steps_per_point": bucket_size(len(steps)),
        "epochs": [
            {"time_s": start_s + end_s, "epoch": epoch.epoch, "scores": epoch.scores}
            for epoch, end_s in zip(record.epochs, epoch_ends_s, strict=True)
        ],
    }


def samples(run: Path, contender: str, number: str) -> dict[str, Any]:
    """Return what the sampler saw during one whole fine-tuning, in seconds since its first sample.

    Raises RecordError if the run has no such job, or if its record or its samples can't be read.
    """
    folder = next((f for f in find_jobs(run) if (f.parent.name, f.name) == (contender, number)), None)
    if folder is None:
        raise RecordError(f"there is no job {number} of {contender}", remedy="choose one of the list")
    record = read_record(folder / TRIAL_FILE, TrialRecord)
    sampling = record.sampling
    if sampling is None:
        return {"source": None, "times_s": [], "panels": [], "series": {}}
    path = file_inside(folder, sampling.file, (".csv",))
    if path is None:
        raise RecordError(f"the samples of {contender}/{number} are missing", remedy="run the trial again")
    rows = read_samples_csv(path)
    panels = arrange_panels(measured_metrics(rows))
    stretches_s = stretches_between(sampling.training_start_s, sampling.training_end_s, sampling.pauses_s)
    start_s = rows[0].timestamp_s if rows else sampling.training_start_s
    return {
        "source": sampling.source,
        "source_reason": sampling.source_reason,
        "times_s": thin([row.timestamp_s - start_s for row in rows]),
        "samples_per_point": bucket_size(len(rows)),
        "training_s": [[begin_s - start_s, end_s - start_s] for begin_s, end_s in stretches_s],
        "panels": [{"title": panel.title[:1].upper() + panel.title[1:], "lines": panel.lines} for panel in panels],
        "series": {name: thin([row[name] for row in rows]) for panel in panels for name in panel.lines},
        "throttle_reasons": throttle_reason_shares(rows),
    }
