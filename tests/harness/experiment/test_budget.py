"""Who is timed next, and for how long: decided by what has been timed, and by nothing else."""

from __future__ import annotations

import math

import pytest

from harness.experiment.budget import Timed, allot_s, decide, find_next, find_open, log_ratios, read_timed, spent_s
from harness.presets import preset
from harness.records.checks import BlockRecord, SpeedRecord
from harness.records.files import write_json
from harness.records.serialise import override
from harness.records.trial import TrialRecord


def block(log_ratio=0.0, *, seconds=4.0, kind="training", cold=False, contamination=()):
    """A block whose four segments take so many seconds together."""
    contender_s = seconds / 2.0 / (1.0 + math.exp(log_ratio))
    baseline_s = seconds / 2.0 - contender_s
    return BlockRecord(
        kind=kind,
        number=1,
        attempt=1,
        first="baseline",
        windows=4,
        baseline_s=(baseline_s, baseline_s),
        contender_s=(contender_s, contender_s),
        cold=cold,
        contamination=contamination,
    )


def process(ratio=1.0, *, blocks=10, seconds=4.0):
    """A process whose blocks scatter by about 1 %."""
    return [block(math.log(ratio) + 0.01 * (-1) ** number, seconds=seconds) for number in range(blocks)]


A_A = [process(seconds=1e-9)] * 3
"""Restarts of the baseline, as all are held against them, that take hardly any of the budget."""


def config(*contenders, **speed):
    changes = {f"speed.{name}": value for name, value in {"least_blocks": 4, "restarts": 3, **speed}.items()}
    return override(preset("smoke"), {"contenders": list(contenders), **changes})


def test_only_clean_warm_training_counts_but_all_segments_are_paid_for():
    blocks = [block(0.1), block(0.2, cold=True), block(0.3, contamination=("busy",)), block(0.4, kind="evaluation")]
    assert log_ratios(blocks) == pytest.approx([0.1])
    assert spent_s([blocks, blocks]) == pytest.approx(32.0)


def test_each_contenders_first_process_gets_the_same_share_and_the_restarts_what_dunnett_gives_the_control():
    four = config("sdpa", "fused_adamw", "amp_bf16", "compile", budget_s=90.0)
    # √4 parts for three restarts, and one for each contender.
    assert allot_s(Timed(processes={}), "baseline", four) == pytest.approx(2 * 15.0 / 3)
    a_a = [process(blocks=5, seconds=2.0)]
    assert allot_s(Timed(processes={"baseline": a_a}), "baseline", four) == pytest.approx(2 * 15.0 / 3)
    assert allot_s(Timed(processes={"baseline": a_a}), "sdpa", four) == pytest.approx(15.0)
    for others in ([process(2.0, blocks=4)], [process(blocks=50)]):
        assert allot_s(Timed(processes={"baseline": a_a, "sdpa": others}), "fused_adamw", four) == pytest.approx(15.0)


def test_what_is_saved_goes_to_those_who_are_open_in_equal_parts():
    timed = {"baseline": A_A, "clear": [process(1.5)], "open": [process(1.01)], "other": [process(1.02)]}
    three = config("clear", "open", "other", budget_s=200.0)
    assert find_open(Timed(processes=timed), three) == ["open", "other"]
    assert allot_s(Timed(processes=timed), "open", three) == pytest.approx((200.0 - 120.0) / 2)
    assert find_next(Timed(processes=timed), three, requests=1) == "open"
    timed["open"].append(process(1.01, blocks=5))
    assert find_next(Timed(processes=timed), three, requests=1) == "other", "those with fewer processes come first"
    assert allot_s(Timed(processes=timed), "other", three) == pytest.approx(200.0 - 140.0), (
        "and get what the round has left"
    )


def test_it_ends_when_all_are_clear():
    timed = {"baseline": [process()] * 3, "a": [process(1.5)], "b": [process(0.7)]}
    assert find_next(Timed(processes=timed), config("a", "b", budget_s=1e6), requests=1) is None


def test_it_ends_where_the_least_blocks_would_not_fit_into_the_budget():
    timed = {"slow": [process(1.01, seconds=40.0)], "quick": [process(1.01, seconds=1.0)]}
    assert find_next(Timed(processes=timed), config("slow", "quick", budget_s=410.0 + 12.0), requests=1) == "quick"
    assert allot_s(Timed(processes=timed), "quick", config("slow", "quick", budget_s=410.0 + 12.0)) == pytest.approx(
        6.0
    )
    assert find_next(Timed(processes=timed), config("slow", "quick", budget_s=410.0 + 3.0), requests=1) is None
    assert find_next(Timed(processes=timed), config("slow", "quick", budget_s=100.0), requests=9) is None


def test_it_ends_after_as_many_processes_as_were_asked_for():
    timed = {"a": [process(1.01)] * 3}
    assert find_next(Timed(processes=timed), config("a", budget_s=1e6), requests=1) is None
    assert find_next(Timed(processes=timed), config("a", budget_s=1e6), requests=2) == "a"


def test_a_run_that_is_given_more_restarts_its_baseline_again_before_anything_else():
    timed = {"baseline": [process()] * 3, "clear": [process(1.5)], "open": [process(1.01)]}
    one = config("clear", "open", budget_s=200.0 + 80.0)
    assert find_next(Timed(processes=timed), one, requests=1) == "open"
    assert find_next(Timed(processes=timed), one, requests=2) == "baseline"
    # One contender is open: half of what is left goes to three restarts.
    assert allot_s(Timed(processes=timed), "baseline", one) == pytest.approx(80.0 / 2 / 3)
    timed["baseline"] = timed["baseline"] + [process(blocks=5)] * 3
    assert find_next(Timed(processes=timed), one, requests=2) == "open"
    del timed["open"]
    assert find_next(Timed(processes=timed), one, requests=2) is None


def test_a_run_that_is_given_more_times_those_too_whose_steps_are_clear_but_not_far_from_1():
    """Their jobs, of which steps are only a part, may be open, or the noise floor may be high."""
    timed = {"baseline": [process()] * 6, "far": [process(1.5)], "near": [process(1.06)], "open": [process(1.02)]}
    three = config("far", "near", "open", budget_s=360.0 + 100.0)
    assert find_open(Timed(processes=timed), three) == ["open"]
    assert find_next(Timed(processes=timed), three, requests=2) == "open"
    timed["open"] = [process(1.02)] * 3
    assert find_next(Timed(processes=timed), three, requests=1) is None
    timed["open"] = [process(1.02, blocks=4)] * 6
    assert find_next(Timed(processes=timed), three, requests=2) == "near"
    del timed["near"]
    assert find_next(Timed(processes=timed), three, requests=2) is None


@pytest.mark.parametrize(
    ("ratio", "of_a_long_job", "of_a_short_one"),
    [
        (0.9, "slower", "slower"),
        (0.985, "slower", "no gain"),
        (0.9797, "slower", None),
        (1.0195, "faster", "no gain"),
        (1.03, "faster", "no gain"),
        (1.06, "faster", "faster"),
    ],
)
def test_steps_are_clear_if_the_job_is_that_they_are_only_a_part_of(ratio, of_a_long_job, of_a_short_one):
    """Of a job's 1 % at least and 2 % that are worth it, steps that are half of it must gain twice as much."""
    for share, expected in ((1.0, of_a_long_job), (0.5, of_a_short_one)):
        timed = Timed(processes={"baseline": [process(blocks=40)] * 8}, training_share=share)
        assert decide([process(ratio, blocks=40)] * 8, timed, config("a")) == expected


def test_nothing_is_divided_by_no_contenders():
    assert allot_s(Timed(processes={}), "baseline", config(budget_s=90.0)) == pytest.approx(90.0 / 2 / 3)


def write(directory, contender, number, status="done", speed=True):
    folder = directory / "trials" / contender / ("speed" if number == 1 else f"speed-{number}")
    folder.mkdir(parents=True)
    speed = SpeedRecord(blocks=tuple(process()), stopped="", settle_s=0.0) if speed else None
    record = TrialRecord(contender=contender, kind="speed", seed=0, process=number, status=status, speed=speed)
    write_json(folder / "trial.json", record)


def test_it_is_read_from_the_records_and_who_failed_is_left_out(tmp_path):
    write(tmp_path, "baseline", 1)
    write(tmp_path, "sdpa", 1)
    write(tmp_path, "sdpa", 2, speed=False)
    write(tmp_path, "amp_bf16", 1)
    write(tmp_path, "amp_bf16", 2, status="failed", speed=False)
    write(tmp_path, "channels_last", 1, status="not_applicable", speed=False)
    (tmp_path / "trials/sdpa/speed-3").mkdir()
    timed = read_timed(tmp_path, config("channels_last", "amp_bf16", "sdpa", "fused_adamw"))
    assert {name: [len(blocks) for blocks in processes] for name, processes in timed.processes.items()} == {
        "baseline": [10],
        "sdpa": [10, 0],
    }
