"""What labels drawn from a model's distribution would score."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.tasks.sequence_classification.examples import Example
from harness.tasks.sequence_classification.expected import expect_scores


def test_the_right_classs_probability_is_its_softmax():
    logits = np.array([[0.0, math.log(3.0)], [90.0, -90.0], [1000.0, 1000.0]], dtype=np.float32)
    examples = [Example(id=str(k), text="", label=label, classes=("a", "b")) for k, label in enumerate("bba")]
    first, second, third = expect_scores(logits, examples)
    assert (first["expected_accuracy"], first["log_likelihood"]) == pytest.approx((0.75, math.log(0.75)))
    assert second["log_likelihood"] == pytest.approx(-180.0)
    assert third["expected_accuracy"] == pytest.approx(0.5)
