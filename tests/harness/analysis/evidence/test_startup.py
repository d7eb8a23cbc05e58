"""What a start costs beyond the baseline's: no difference within chance, and nothing to hide beyond one percent."""

from __future__ import annotations

import numpy as np
import pytest

from harness.analysis.evidence.parts import job_parts
from harness.analysis.evidence.speed import LEAST_FLOOR
from harness.analysis.evidence.startup import compare_starts, start_scatter
from harness.records.trial import EpochRecord, TrialRecord, WorkRecord

JOB_S = 20.0
WORK = WorkRecord(updates=16, updates_applied=16, windows=64, useful_tokens=1, computed_tokens=1, token_id_sum=1,
                  trained_parameters=1, total_parameters=1, untrained_tensors=(), order_sha256="",
                  learning_rate_sha256="")  # fmt: skip


def start(contender, warm_up_s, compile_cache=None, first_epoch_s=2.0):
    times_s = (first_epoch_s, 2.0)
    epochs = tuple(
        EpochRecord(epoch=n, train_time_s=time_s, train_loss=1.0, evaluation_time_s=1.0)
        for n, time_s in enumerate(times_s, start=1)
    )
    phases_s = {"apply_strategies": 0.0, "warm_up": warm_up_s, "training": sum(times_s), "evaluation": 2.0}
    return TrialRecord(contender=contender, kind="job", seed=0, status="done", phases_s=phases_s, work=WORK,
                       job_time_s=JOB_S + warm_up_s, epochs=epochs, compile_cache=compile_cache)  # fmt: skip


def compare(baseline, contender, *others):
    parts = job_parts(baseline), job_parts(contender)
    return compare_starts(baseline, contender, parts, [*baseline, *contender, *others])


OTHERS = [start(f"other {k}", warm_up_s) for k, warm_up_s in enumerate((0.42, 0.44, 0.45, 0.46))]


def test_a_start_within_chance_is_the_baselines_and_adds_no_uncertainty():
    found = compare([start("baseline", 0.44)], [start("x", 0.48)], *OTHERS)
    assert (found.difference_s, found.scatter_error_s, found.once_error_s) == (0.0, 0.0, 0.0)


def test_a_start_that_is_really_longer_counts_with_an_error_known_from_all_starts():
    found = compare([start("baseline", 0.44)], [start("x", 1.44)], *OTHERS)
    assert found.difference_s == pytest.approx(1.0)
    assert 0.0 < found.scatter_error_s < 0.1
    assert found.scatter.starts == 6


def test_a_start_that_is_really_shorter_counts_too():
    assert compare([start("baseline", 0.44)], [start("x", 0.05)], *OTHERS).difference_s == pytest.approx(-0.39)


def test_however_wild_the_starts_nothing_longer_than_one_percent_of_the_job_is_hidden():
    wild = [start(f"other {k}", warm_up_s) for k, warm_up_s in enumerate((0.1, 3.0, 0.2, 4.0, 9.0))]
    baseline = [start("baseline", 0.44)]
    hidden_s = compare(baseline, [start("x", 0.44)], *wild).hidden_s
    assert hidden_s == pytest.approx(LEAST_FLOOR * (JOB_S + 0.44))
    assert compare(baseline, [start("x", 0.43 + hidden_s)], *wild).difference_s == 0.0
    beyond = compare(baseline, [start("x", 0.45 + hidden_s)], *wild)
    assert beyond.difference_s == pytest.approx(0.01 + hidden_s)
    assert beyond.scatter_error_s > beyond.difference_s, "it is counted, and not known well"


def test_most_starts_being_slow_does_not_make_slow_starts_the_baselines():
    slow = [start(f"other {k}", 2.0 + 0.01 * k) for k in range(6)]
    assert compare([start("baseline", 0.44)], [start("x", 2.0)], *slow).difference_s == pytest.approx(1.56)


def test_a_baseline_that_found_cold_caches_makes_nobody_faster():
    assert compare([start("baseline", 1.5)], [start("x", 0.44)], *OTHERS).difference_s == 0.0


def test_what_is_compiled_counts_in_full_and_is_known_to_a_tenth():
    found = compare([start("baseline", 0.44)], [start("x", 20.44, compile_cache="cold")], *OTHERS)
    assert (found.difference_s, found.hidden_s, found.is_compiled) == (pytest.approx(20.0), 0.0, True)
    assert found.once_error_s == pytest.approx(2.044)


def test_work_at_first_use_counts_in_full_though_the_start_is_the_baselines():
    found = compare([start("baseline", 0.44)], [start("x", 0.44, first_epoch_s=12.0)], *OTHERS)
    assert (found.difference_s, found.once_error_s) == (pytest.approx(10.0), pytest.approx(1.0))


def test_compiling_jobs_and_single_slow_ones_are_no_scatter():
    calm = start_scatter(OTHERS).deviation_s
    assert start_scatter([*OTHERS, start("x", 31.0, compile_cache="cold")]).deviation_s == calm
    assert start_scatter([*OTHERS, start("x", 31.0)]).deviation_s < 0.1


def test_where_contenders_started_twice_their_differences_from_each_other_are_no_scatter():
    twice = [start(f"x{k}", k + lag) for k in range(1, 6) for lag in (0.0, 0.02)]
    assert start_scatter(twice).deviation_s < 0.3
    assert start_scatter(twice[::2]).deviation_s > 0.5


def test_starts_that_differ_by_chance_alone_are_seldom_told_apart():
    rng, runs, told = np.random.default_rng(0), 1000, 0
    for _ in range(runs):
        jobs = [start(f"x{k}", value) for k, value in enumerate(rng.normal(0.44, 0.04, size=7))]
        told += compare(jobs[:1], jobs[1:2], *jobs[2:]).difference_s != 0.0
    assert told / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
