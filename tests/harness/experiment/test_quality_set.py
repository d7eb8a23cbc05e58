"""The quality set before the first trial, and which of two checks of an evaluation counts."""

from __future__ import annotations

import json

import pytest

from harness.config import DataConfig, RunConfig
from harness.errors import ConfigError, DataError
from harness.experiment.inputs import load_inputs
from harness.experiment.prepare import load_quality_set
from harness.experiment.quality_set import worse_check
from harness.presets import preset
from harness.records.checks import EvaluationCheckRecord
from harness.records.serialise import override

pytestmark = pytest.mark.usefixtures("needs_bundled")


@pytest.fixture
def of_files(tmp_path) -> RunConfig:
    """A configuration whose validation file holds six texts."""
    path = tmp_path / "texts.json"
    path.write_text(json.dumps([{"text": f"text {k}", "label": "ab"[k % 2]} for k in range(6)]))
    files = {"data.source": "files", "data.train_file": str(path), "data.validation_file": str(path)}
    sizes = {"data.train_size": None, "data.validation_size": 2, "data.quality_size": 4}
    return override(preset("smoke"), {"task": "sequence_classification", **files, **sizes})


def test_a_source_with_fewer_is_taken_whole_and_both_numbers_are_recorded(of_files, tmp_path):
    _, validation = load_inputs(of_files)
    assert load_quality_set(of_files, validation, tmp_path)["quality_questions"] == 4
    found = load_quality_set(override(of_files, {"data.quality_size": 100}), validation, tmp_path)
    assert (found["quality_questions"], found["quality_questions_asked"]) == (6, 100)


def test_without_a_size_of_its_own_the_validation_set_is_it(of_files, tmp_path):
    _, validation = load_inputs(of_files)
    assert load_quality_set(override(of_files, {"data.quality_size": None}), validation, tmp_path) == {}


def test_it_must_begin_with_the_validation_set(of_files, tmp_path):
    _, validation = load_inputs(of_files)
    with pytest.raises(DataError, match="does not begin with the validation set"):
        load_quality_set(of_files, validation[::-1], tmp_path)


@pytest.mark.parametrize("validation_size", [None, 250])
def test_fewer_than_the_validation_set_are_refused(validation_size):
    with pytest.raises(ConfigError, match=r"data\.quality_size is 200"):
        DataConfig(validation_size=validation_size, quality_size=200)


def test_of_two_checks_the_one_that_found_more_counts():
    good, bad, unmade = (
        EvaluationCheckRecord(windows=1, error=error, dtype="float32", problem=problem)
        for error, problem in ((1e-6, None), (0.5, None), (None, "the model refuses"))
    )
    assert worse_check(None, good) is good
    assert worse_check(good, bad) is worse_check(bad, good) is bad
    assert worse_check(good, unmade) is worse_check(unmade, good) is unmade
    not_a_number = EvaluationCheckRecord(windows=1, error=float("nan"), dtype="float32")
    assert worse_check(good, not_a_number) is worse_check(not_a_number, good) is not_a_number
