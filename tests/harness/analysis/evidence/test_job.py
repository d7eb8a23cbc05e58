"""The speed of the whole job from its parts, warm-up and break-even."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.evidence.job import compose_job
from harness.analysis.evidence.speed import LEAST_FLOOR, NoiseFloor, SpeedEvidence
from harness.analysis.evidence.startup import break_even, summarise_warm_up
from harness.records.strategy import StrategyRecord
from harness.records.trial import EpochRecord, TrialRecord, WorkRecord
from harness.statistics.paired import exactly_one, ratio_of_logs

NOISE = 0.004 * np.array([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])


def evidence(training=1.0, evaluation=1.0, noise=NOISE):
    return SpeedEvidence(
        training=ratio_of_logs(np.log(training) + noise),
        evaluation=ratio_of_logs(np.log(evaluation) + noise),
        blocks=9,
        repeats=0,
        spoilt=0,
        contamination=(),
        stopped="",
        same_samples=True,
    )


def make_job(*, warm_up_s=1.0, training_s=20.0, compile_cache=None, windows=64, declares=(), **others_s):
    phases_s = {
        "imports": 4.0,
        "apply_strategies": 0.0,
        "warm_up": warm_up_s,
        "training": training_s,
        "evaluation": 5.0,
        **others_s,
    }
    strategy = StrategyRecord(name="x", summary="", effect="SAME_MATH", phases=declares)
    epoch = EpochRecord(
        epoch=1, train_time_s=training_s / 2, train_loss=1.0, evaluation_time_s=2.5, scores={"em": 1.0, "f1": 1.0}
    )
    work = WorkRecord(updates=16, updates_applied=16, windows=windows, useful_tokens=1, computed_tokens=1,
                      token_id_sum=1, trained_parameters=1, total_parameters=1, untrained_tensors=(),
                      order_sha256="", learning_rate_sha256="")  # fmt: skip
    return TrialRecord(
        contender="x",
        kind="job",
        seed=0,
        status="done",
        strategies=(strategy,) if declares else (),
        phases_s=phases_s,
        work=work,
        job_time_s=sum(phases_s.values()),
        epochs=(epoch, epoch),
        compile_cache=compile_cache,
    )


def noise_floor(floor):
    return NoiseFloor(ratio=ratio_of_logs(NOISE), share=floor)


def compose(contender, found, everyone=(), floor=0.01, baseline=None):
    return compose_job(baseline or [make_job()], [contender], found, noise_floor(floor), everyone)


def test_the_baseline_against_itself_is_one():
    result = compose(make_job(), evidence())
    assert result.ratio.estimate == pytest.approx(1.0)
    assert result.ratio.low < 1.0 < result.ratio.high


def test_the_error_of_a_against_a_is_not_counted_twice_and_nothing_below_one_percent_is_claimed():
    assert compose(make_job(), evidence(), floor=0.10).floor == LEAST_FLOOR
    assert compose(make_job(), evidence(), floor=0.01).floor == LEAST_FLOOR


def test_only_the_part_that_is_trained_gets_faster():
    result = compose(make_job(), evidence(training=2.0))
    assert result.contender_s == pytest.approx(4.0 + 1.0 + 10.0 + 5.0)
    assert result.ratio.estimate == pytest.approx(30.0 / 20.0)


def test_drift_between_the_jobs_does_not_count():
    drifted = make_job(training_s=40.0)
    assert compose(drifted, evidence()).ratio.estimate == pytest.approx(1.0)


def test_a_cold_compile_counts_in_full():
    result = compose(make_job(warm_up_s=31.0, compile_cache="cold"), evidence(training=2.0))
    assert result.contender_s == pytest.approx(50.0)
    assert result.ratio.estimate < 1.0


def test_what_is_certain_adds_nothing_to_the_interval():
    certain = replace(evidence(training=2.0), evaluation=exactly_one(), same_evaluation=True)
    assert [term.part for term in compose(make_job(), certain).terms] == ["training"]


def test_terms_say_what_the_interval_is_made_of_the_largest_first():
    contender = make_job(warm_up_s=31.0, compile_cache="cold", imports=1.0, declares=("imports",))
    job = compose(contender, evidence(), STEADY)
    assert [term.part for term in job.terms] == ["one-time costs", "imports", "start-up", "training", "evaluation"]
    assert [term.settled_by for term in job.terms] == [None, "seeds", "seeds", "budget", "budget"]
    assert job.terms[1].samples == len(STEADY)
    variance = sum(term.log_standard_error**2 for term in job.terms)
    assert job.ratio.log_standard_error == pytest.approx(variance**0.5)


def test_a_term_of_few_degrees_of_freedom_counts_as_much_as_it_matters():
    rough = replace(evidence(), evaluation=replace(evidence().evaluation, degrees_of_freedom=1.5))
    job = compose(make_job(), rough)
    assert [term.degrees_of_freedom for term in job.terms if term.part == "evaluation"] == [1.5]
    assert job.ratio.degrees_of_freedom > 0.9 * job.terms[0].degrees_of_freedom


def test_fewer_windows_cost_less_if_the_segments_had_as_many():
    half = make_job(windows=32)
    assert compose(half, evidence()).contender_s == pytest.approx(20.0)
    assert compose(half, replace(evidence(), same_samples=False)).contender_s == pytest.approx(30.0)


STEADY = [make_job(imports=value) for value in (3.9, 4.0, 4.1)]
"""Jobs that don't change any phase: 0.1 s is the spread of their imports."""


def test_a_declared_phase_counts_with_its_own_time():
    result = compose(make_job(imports=1.0, declares=("imports",)), evidence(), STEADY)
    assert result.contender_s == pytest.approx(27.0)
    assert result.phase_differences_s == {"imports": -3.0}
    assert result.ratio.estimate == pytest.approx(30.0 / 27.0)
    assert result.ratio.low > 1.08


def test_a_change_that_is_not_declared_does_not_count():
    result = compose(make_job(imports=1.0), evidence(), STEADY)
    assert (result.contender_s, result.phase_differences_s) == (pytest.approx(30.0), {})
    shrunk = make_job(imports=4.0, declares=("scoring",))
    assert compose(shrunk, evidence(), STEADY, baseline=[make_job(load_model=2.0)]).ratio.estimate == 1.0


@pytest.mark.parametrize(("imports_s", "job_s"), [(4.0, 30.0), (7.0, 33.0)])
def test_a_declared_phase_that_is_no_faster_does_not_help(imports_s, job_s):
    result = compose(make_job(imports=imports_s, declares=("imports",)), evidence(), STEADY)
    assert result.contender_s == pytest.approx(job_s)
    assert result.ratio.low < 1.0


def test_work_moved_out_of_a_declared_phase_still_counts():
    moved = make_job(imports=1.0, load_model=3.0, declares=("imports",))
    result = compose(moved, evidence(), STEADY)
    assert result.contender_s == pytest.approx(30.0)
    assert result.phase_differences_s == {"imports": -3.0, "moved": 3.0}


def test_spread_of_jobs_that_do_not_change_a_phase_is_its_uncertainty():
    contender = make_job(imports=1.0, declares=("imports",))
    wild = [make_job(imports=value) for value in (2.0, 4.0, 6.0)]
    calm, noisy = (compose(contender, evidence(), [*jobs, contender]).ratio for jobs in (STEADY, wild))
    assert calm == compose(contender, evidence(), STEADY).ratio, "its own job widens nothing"
    assert noisy.log_standard_error == pytest.approx(2.0 * 2**0.5 / 27.0, rel=0.01)
    assert noisy.low < 1.0 < calm.low


def test_more_seeds_know_a_phase_better():
    contender = make_job(imports=1.0, declares=("imports",))
    one, four = (compose_job([make_job()] * n, [contender] * n, evidence(), noise_floor(0.01), STEADY) for n in (1, 4))
    assert one.ratio.log_standard_error > 1.5 * four.ratio.log_standard_error


def test_with_nothing_to_tell_the_spread_from_no_gain_is_certain():
    contender = make_job(imports=1.0, declares=("imports",))
    assert compose(contender, evidence(), [make_job(), contender]).ratio.low < 1.0


def test_a_phase_that_the_baseline_changes_counts_for_all():
    quick = make_job(imports=1.0, declares=("imports",))
    result = compose(make_job(), evidence(), STEADY, baseline=[quick])
    assert (result.baseline_s, result.contender_s) == (pytest.approx(27.0), pytest.approx(30.0))


def test_without_clean_blocks_there_is_no_speed_of_the_job():
    assert compose(make_job(), replace(evidence(), training=None)) is None


@pytest.mark.parametrize(
    ("extra_s", "saved_s", "steps"), [(10.0, 0.5, 20.0), (-1.0, 0.5, 0.0), (10.0, -0.5, None), (10.0, None, None)]
)
def test_break_even(extra_s, saved_s, steps):
    assert break_even(extra_s, saved_s) == steps


def test_warm_up_tells_cold_from_warm_and_when_it_pays():
    cold, warm = make_job(warm_up_s=31.0, compile_cache="cold"), make_job(warm_up_s=6.0, compile_cache="warm")
    result = summarise_warm_up([make_job()], [cold, warm], evidence(training=2.0), 20.0 / 16, ())
    assert (result.baseline_s, result.cold_s, result.warm_s) == (1.0, 31.0, 6.0)
    saved_s = 20.0 / 16 / 2
    assert result.saved_per_step_s == pytest.approx(saved_s)
    assert result.break_even_steps == pytest.approx(30.0 / saved_s)
    assert result.break_even_epochs == pytest.approx(30.0 / saved_s / 8)
    assert result.break_even_steps_warm == pytest.approx(5.0 / saved_s)


def test_a_single_compile_is_not_taken_for_exact():
    job = compose(make_job(warm_up_s=31.0, compile_cache="cold"), evidence())
    assert job.ratio.high / job.ratio.low > 1.15


def with_epochs(*train_times_s, evaluation_times_s=(1.0, 1.0, 1.0), **changes):
    epochs = tuple(
        EpochRecord(
            epoch=n,
            train_time_s=training_s,
            train_loss=1.0,
            evaluation_time_s=evaluation_s,
            scores={"em": 1.0, "f1": 1.0},
        )
        for n, (training_s, evaluation_s) in enumerate(zip(train_times_s, evaluation_times_s, strict=True), start=1)
    )
    return replace(make_job(training_s=sum(train_times_s), **changes), epochs=epochs)


def test_what_is_built_at_first_use_counts_as_a_one_time_cost():
    steady, stalls = with_epochs(7.0, 7.0, 6.0), with_epochs(22.0, 7.0, 6.0)
    result = compose(stalls, evidence(), baseline=[steady])
    assert result.stall_s == pytest.approx(15.0)
    assert result.contender_s - result.baseline_s == pytest.approx(15.0)
    assert compose(stalls, evidence(), baseline=[stalls]).stall_s == 0.0, "the baseline does so too"
    assert compose(with_epochs(8.0, 7.0, 6.0), evidence(), baseline=[steady]).stall_s == 0.0, "that may be noise"


def test_what_is_built_at_first_use_has_to_be_earned_back_too():
    steady, stalls = with_epochs(7.0, 7.0, 6.0), with_epochs(22.0, 7.0, 6.0)
    result = summarise_warm_up([steady], [stalls], evidence(training=2.0), 20.0 / 16, ())
    assert (result.cold_s, result.stall_s) == (result.baseline_s, pytest.approx(15.0))
    assert result.break_even_steps == pytest.approx(15.0 / result.saved_per_step_s)


def test_jobs_that_take_longer_than_the_segments_promise_contradict_them():
    only_in_segments = compose(make_job(), evidence(training=2.0))
    assert only_in_segments.contradictions == ("training took 20.0 s in its jobs, where its segments promise 10.0 s",)
    assert compose(make_job(training_s=10.5), evidence(training=2.0)).contradictions == ()
    cached = compose(make_job(), evidence(evaluation=700.0))
    assert "evaluation took 5.0 s" in cached.contradictions[0]


def test_a_baseline_that_compiles_has_one_cold_compile_in_its_job():
    compiling = [
        make_job(warm_up_s=60.0, compile_cache="cold"),
        make_job(warm_up_s=8.0, compile_cache="warm"),
        make_job(warm_up_s=8.0, compile_cache="warm"),
    ]
    result = compose(make_job(), evidence(), baseline=compiling)
    assert (result.baseline_s, result.contender_s) == (pytest.approx(89.0), pytest.approx(30.0))


def test_a_baseline_with_cold_caches_gives_nothing_to_a_strategy_that_declares_a_phase():
    cold, warm = make_job(imports=7.0), [make_job(imports=value) for value in (4.0, 4.01, 3.99, 4.0, 4.01, 3.99)]
    contender = make_job(imports=4.0, declares=("imports",))
    assert compose(contender, evidence(), [cold, *warm, contender], baseline=[cold]).ratio.low < 1.0


def test_where_all_change_a_phase_its_spread_is_theirs():
    fast = [make_job(imports=value, declares=("imports",)) for value in (1.0, 1.02, 0.98)]
    ratio = compose(fast[0], evidence(training=1.5), fast, baseline=[fast[1]]).ratio
    assert ratio.low > 1.3
