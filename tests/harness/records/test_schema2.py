"""A run that was recorded with schema 2 still reads, and the analysis makes of it what it makes of new ones.

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

SAID = {
    "fused_adamw": ("ACCEPTED", 1.0777035440654161, 1.5934374836812926),
    "amp_bf16": ("UNCLEAR", 0.969913941084794, 0.8641770766970006),
    "sdpa": ("UNCLEAR", 1.0091472131340373, 1.0484869812158273),
    "larger_batches": ("FASTER", 1.146525930363959, 2.9422957456667715),
    "unpadded+fused_adamw": ("ACCEPTED", 1.0713948305901195, 1.5281359188773462),
}
"""Verdict, job speedup and step speedup, as the present analysis says of what was recorded then."""


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


def test_verdicts_and_numbers_come_out_of_it(loaded):
    analysis = analyse(loaded)
    assert analysis.noise_floor.share == pytest.approx(0.07203792539619536)
    by_name = {contender.name: contender for contender in analysis.contenders}
    assert by_name["cuda_graphs"].verdict == "NOT_APPLICABLE"
    for name, (verdict, job, step) in SAID.items():
        contender = by_name[name]
        assert contender.verdict == verdict
        assert contender.job_speedup.estimate == pytest.approx(job)
        assert contender.step_speedup.estimate == pytest.approx(step)
