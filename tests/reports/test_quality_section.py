"""What the report says of the questions by which quality was judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.analysis.model import Analysis
from harness.statistics.estimate import Estimate
from reports.markdown import blocks
from reports.sections.quality import quality_set_words
from reports.sections.quality import section as quality_section


@pytest.fixture
def measured(make_run: Any, analysed: Any) -> Analysis:
    return analysed(make_run())


def test_the_report_says_what_quality_was_judged_by_what_it_took_and_gained(measured: Analysis) -> None:
    assert list(quality_set_words(measured)) == []
    data = measured.run.data | {"quality_questions": 3_000, "quality_questions_asked": 10_570}
    judged = replace(
        measured,
        run=replace(measured.run, data=data),
        contenders=tuple(
            replace(c, evidence=replace(c.evidence, quality_set_s=9.5, quality_narrowing={"f1": 0.8}))
            if c.evidence is not None and not c.is_baseline
            else c
            for c in measured.contenders
        ),
    )
    (words,) = quality_set_words(judged)
    assert "a set of 3,000 questions (10,570 were asked for, the source has no more)" in words
    assert "amp_bf16 9.50 s" in words
    assert "narrower by it than with the validation set alone: amp_bf16 80 %" in words


def test_what_the_models_distributions_would_score_is_no_verdict(measured: Analysis) -> None:
    expected = {"f1": Estimate(estimate=-0.004, low=-0.02, high=0.01, kind="interval")}
    amp = next(contender for contender in measured.contenders if contender.name == "amp_bf16")
    changed = replace(amp, evidence=replace(amp.evidence, expected_scores=expected))
    found = blocks(quality_section(replace(measured, contenders=(measured.contenders[0], changed))).blocks)
    assert "no verdict rests on it" in found
    assert "expected F1 0.00 (−0.02 to +0.01)" in found
