"""A run that was recorded with schema 2 still reads, and gives the numbers that it gave then.

`schema2/` was made by `speedproof run fused_adamw amp_bf16 sdpa larger_batches unpadded+fused_adamw cuda_graphs
--preset smoke --seeds 2` and packed with the traces of the baseline and of `amp_bf16` alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.analysis.analyse import analyse
from harness.records.archive import unpack_run
from harness.records.store import load_run

PACKED = Path(__file__).parent / "schema2"

THEN = {
    "fused_adamw": ("UNCLEAR", 1.1307477308632334, 1.6449436454445918),
    "amp_bf16": ("UNCLEAR", 1.014752934405256, 0.8921106760759101),
    "sdpa": ("UNCLEAR", 1.0585470477304402, 1.0823782010561265),
    "larger_batches": ("UNCLEAR", 1.2004929065053502, 3.037402307539325),
    "unpadded+fused_adamw": ("UNCLEAR", 1.1240697188122906, 1.5775312774276962),
}
"""Verdict, in today's words for it; job and step speedup, as the program of that time said."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("schema2") / "run"
    unpack_run(PACKED, directory)
    return load_run(directory)


def test_it_is_of_schema_2():
    assert json.loads((PACKED / "run.json").read_text())["schema_version"] == 2


def test_every_trial_reads(loaded):
    assert (loaded.missing, loaded.damaged) == ([], [])
    assert len(loaded.trials) == 28
    job = next(trial for trial in loaded.trials if trial.record.kind == "job")
    assert job.steps
    assert job.predictions


def test_numbers_are_those_of_then(loaded):
    analysis = analyse(loaded)
    assert analysis.noise_floor.share == pytest.approx(0.10634147936061211)
    by_name = {contender.name: contender for contender in analysis.contenders}
    assert by_name["cuda_graphs"].verdict == "NOT_APPLICABLE"
    for name, (verdict, job, step) in THEN.items():
        contender = by_name[name]
        assert contender.verdict == verdict
        assert contender.job_speedup.estimate == pytest.approx(job)
        assert contender.step_speedup.estimate == pytest.approx(step)
