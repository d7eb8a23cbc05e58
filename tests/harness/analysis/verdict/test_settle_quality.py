"""What is advised where quality is open: more questions to judge it by, as far as the source has them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.analysis.verdict.settle import settle_quality
from harness.presets import preset
from harness.records.serialise import override
from harness.statistics.noninferiority import assess


class Asked:
    """A pace that tells the options of the command."""

    seeds = 2

    def again(self, **options: str) -> str:
        return str(options)

    def of_new(self, *, seeds: int, times_examples: float) -> float:
        return 60.0 * seeds * times_examples


@pytest.fixture
def case() -> Any:
    """Return a function that gives a case of a run of this data."""

    def of(data: dict[str, Any], **changes: Any) -> Any:
        config = override(preset("quick"), changes)
        scoring = SimpleNamespace(examples="questions")
        run = SimpleNamespace(scoring=scoring, config=config, data=data)
        return SimpleNamespace(reference=SimpleNamespace(run=run), evidence=SimpleNamespace(pairs=2))

    return of


@pytest.fixture
def claims() -> Any:
    return SimpleNamespace(pace=Asked())


@pytest.fixture
def worst() -> Any:
    """A score that 2,000 questions would settle and no number of seeds."""
    found = assess(np.zeros((2, 384)), margin=1.0, alpha=0.05)
    return replace(found, examples_needed=2_000, seeds_needed=None)


def test_more_questions_are_asked_for_by_the_quality_sets_option(case, claims, worst):
    (words,) = settle_quality(case({"quality_questions": 384, "quality_questions_asked": 384}), claims, worst)
    assert "about 2,000 questions" in words.text
    assert "'quality_size': '2000'" in words.text


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        ({"quality_questions": 384, "quality_questions_asked": 1_000}, {}),
        ({"quality_questions": 384, "quality_questions_asked": 384}, {"data.source": "hub"}),
    ],
)
def test_more_than_the_source_has_is_not_advised(case, claims, worst, data, changes):
    far = replace(worst, examples_needed=20_000)
    (words,) = settle_quality(case(data, **changes), claims, far)
    assert words.text == "no number of questions or seeds within reach would settle it"
