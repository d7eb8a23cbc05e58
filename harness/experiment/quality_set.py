"""After a job: the trained model answers the questions by which quality is judged, outside of the job's time."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

from harness.config import RunConfig
from harness.experiment.inputs import Inputs, load_inputs, load_tokenised, with_quality_set
from harness.experiment.trial import Prepared
from harness.experiment.validation import validate
from harness.measurement.clocks import PhaseClock
from harness.records.checks import EvaluationCheckRecord
from harness.records.spec import TrialSpec
from harness.records.store import write_predictions, write_quality
from harness.records.trial import BASELINE, ExamplePrediction, QualitySetRecord, TrialRecord
from harness.strategy import Logits
from harness.training.baseline import build_baseline
from harness.training.evaluation_check import check_evaluation
from harness.training.model import load_model

LEARNING_EXAMPLES = 250
"""Examples that tell whether the baseline has learned, as many as the reference experiment validates on: 64 left that
open by chance (F1 32.8 and 37.7 after the same training, on them and on 256)."""

DIGITS = 4
"""Of covariates, as they are written."""


def judge_trained_model(
    spec: TrialSpec,
    directory: Path,
    prepared: Prepared,
    record: TrialRecord,
    predictions: dict[int, list[ExamplePrediction]],
    logits: Logits | None,
) -> TrialRecord:
    """Write the answers by which quality is judged, with their covariates; return the record with their scores.

    Those of the quality set are made by the contender's own evaluation and checked like the job's. Without one they
    are the last epoch's in `predictions`, which `logits` were read from.
    """
    larger = with_quality_set(spec.config)
    if larger is None:
        if logits is not None:
            last = max(predictions)
            predictions[last] = _with_covariates(spec.config, prepared, prepared.inputs, logits, predictions[last])
            write_predictions(directory, predictions)
        return record
    start_s = time.perf_counter()
    inputs = load_tokenised(larger, *load_inputs(larger), Path(spec.cache_directory), known=prepared.inputs.tokenizer)
    scored = validate(prepared.setup, inputs, larger.data, PhaseClock(), prepared.start_up)
    write_quality(directory, _with_covariates(larger, prepared, inputs, scored.logits, scored.answers))
    done = QualitySetRecord(
        examples=len(inputs.validation),
        windows=len(inputs.validation_windows),
        scores=scored.scores,
        time_s=time.perf_counter() - start_s,
    )
    if spec.contender != BASELINE:
        check = check_evaluation(
            prepared.setup, spec.config, inputs.validation_windows, scored.logits, pad_id=inputs.tokenizer.pad_id
        )
        record = replace(record, evaluation_check=worse_check(record.evaluation_check, check))
    return replace(record, quality_set=done)


def answer_untrained(spec: TrialSpec, prepared: Prepared) -> tuple[dict[str, float], list[ExamplePrediction]]:
    """Return the untrained model's scores on the validation set, and its answers.

    They are to the quality set's first `LEARNING_EXAMPLES`, if the validation set has fewer. The setup is plain, on a
    model made anew: what the configuration's baseline has changed in its model is not in this one.
    """
    config, inputs, device = spec.config, prepared.inputs, prepared.setup.device
    model = load_model(config.model, head=inputs.head, seed=spec.seed, device=device)
    plain = build_baseline(config, model=model, pad_id=inputs.tokenizer.pad_id, seed=spec.seed, device=device)
    scored = validate(plain, inputs, config.data, PhaseClock(), prepared.start_up)
    larger = with_quality_set(config, most=LEARNING_EXAMPLES)
    if larger is None or (larger.data.validation_size or 0) <= len(scored.answers):
        return scored.scores, scored.answers
    inputs = load_tokenised(larger, *load_inputs(larger), Path(spec.cache_directory), known=inputs.tokenizer)
    return scored.scores, validate(plain, inputs, larger.data, PhaseClock(), prepared.start_up).answers


def worse_check(first: EvaluationCheckRecord | None, second: EvaluationCheckRecord) -> EvaluationCheckRecord:
    """Return the one of two checks that found more: both must hold. What could not be told is worst."""
    if first is None:
        return second
    found, found_then = (
        math.inf if one.error is None or math.isnan(one.error) else one.error for one in (first, second)
    )
    return first if found >= found_then else second


def _with_covariates(
    config: RunConfig, prepared: Prepared, inputs: Inputs, logits: Logits, rows: list[ExamplePrediction]
) -> list[ExamplePrediction]:
    """Return the answers with what the model's distribution says of each example."""
    found = prepared.setup.task.expect(inputs.validation_windows, logits, inputs.validation, config.data)
    return [
        replace(row, covariates={name: round(value, DIGITS) for name, value in values.items()})
        for row, values in zip(rows, found, strict=True)
    ]
