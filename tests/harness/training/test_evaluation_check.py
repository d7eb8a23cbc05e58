"""Whether scored logits are the trained model's."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.analysis.evidence.sameness import evaluation_problem
from harness.presets import preset
from harness.records.serialise import override
from harness.training.evaluation import evaluate_in_batches
from harness.training.evaluation_check import check_evaluation, logits_error

CONFIG = override(preset("smoke"), {})


def check(setup, windows, claimed):
    return check_evaluation(setup, CONFIG, windows, claimed, pad_id=0)


def test_the_models_own_logits_pass(make_setup, windows):
    setup = make_setup()
    record = check(setup, windows, evaluate_in_batches(setup, windows))
    assert record.error == pytest.approx(0.0, abs=1e-6)
    assert evaluation_problem(record) is None


def test_bf16_logits_pass_at_their_own_tolerance(make_setup, windows):
    setup = replace(make_setup(), compute_dtype=torch.bfloat16)
    record = check(setup, windows, evaluate_in_batches(setup, windows))
    assert record.dtype == "bfloat16"
    assert record.error > 0
    assert evaluation_problem(record) is None


def test_logits_of_another_model_are_refused(make_setup, windows):
    record = check(make_setup(seed=0), windows, evaluate_in_batches(make_setup(seed=1), windows))
    assert "not those of the trained model" in evaluation_problem(record)


def test_logits_that_are_not_numbers_are_refused(make_setup, windows):
    claimed = tuple(np.full((len(windows), 64), math.nan, dtype=np.float32) for _ in range(2))
    assert evaluation_problem(check(make_setup(), windows, claimed)) is not None


def test_a_model_that_refuses_a_plain_pass_is_a_problem_in_words(make_setup, windows):
    setup = make_setup()
    claimed = evaluate_in_batches(setup, windows)
    setup.model.forward = lambda **_: (_ for _ in ()).throw(ValueError("packed only"))
    record = check(setup, windows, claimed)
    assert record.error is None
    assert "packed only" in record.problem


def test_a_constant_added_to_a_window_does_not_count(windows):
    logits = np.random.default_rng(0).normal(size=(len(windows), 64)).astype(np.float32)
    assert logits_error(windows, (logits, logits), (logits + 3.0, logits - 2.0)) == pytest.approx(0.0, abs=1e-6)
