"""One verdict for each contender: which evidence leads to which."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.evidence.gather import Case, Evidence, Reference
from harness.analysis.evidence.job import JobSpeed, Term, TimeToScore
from harness.analysis.evidence.quality import Learning, QualityEvidence
from harness.analysis.evidence.sameness import Equivalence, FootprintDifference
from harness.analysis.evidence.speed import NoiseFloor, SpeedEvidence
from harness.analysis.evidence.trials import Trials
from harness.analysis.evidence.work import Work
from harness.analysis.verdict.rules import RULES, Judgement, judge_all
from harness.config import RunConfig
from harness.records.checks import BlockRecord, EvaluationCheckRecord, SpeedRecord, TensorError
from harness.records.serialise import override
from harness.records.store import LoadedTrial
from harness.records.trial import RunRecord, TrialRecord
from harness.statistics.estimate import Estimate
from harness.statistics.noninferiority import assess
from harness.statistics.paired import Ratio, combine, ratio_of_logs
from harness.tasks.question_answering.task import TASK


def ratio(estimate: float, deviation: float = 0.003, blocks: int = 12) -> Ratio:
    return ratio_of_logs(math.log(estimate) + deviation * np.resize([1.0, -1.0, -1.0, 1.0], blocks))


def speed(estimate: float, deviation: float = 0.003) -> SpeedEvidence:
    value = ratio(estimate, deviation)
    return SpeedEvidence(training=value, evaluation=value, blocks=15, repeats=0, spoilt=0, contamination=(),
                         stopped="", same_samples=True)  # fmt: skip


def job(estimate: float, deviation: float = 0.003, as_run: float | None = None) -> JobSpeed:
    found = ratio(estimate, deviation)
    term = Term(part="training", log_standard_error=found.log_standard_error,
                degrees_of_freedom=found.degrees_of_freedom, samples=found.blocks, settled_by="budget")  # fmt: skip
    return JobSpeed(ratio=found, floor=0.01, baseline_s=30.0, contender_s=30.0 / estimate, terms=(term,),
                    as_run=None if as_run is None else Estimate(estimate=as_run))  # fmt: skip


HOLDS = Equivalence(holds=True, dtype="float32", tolerance=1e-4, loss_error=0.0, gradient_norm_error=0.0, cosine=1.0,
                    worst=None, problem=None)  # fmt: skip
BROKEN = replace(HOLDS, holds=False, problem="the gradient of layer.3.weight differs from the reference by 0.5")
LEARNED = Learning(gain=40.0, gain_low=35.0, last_epoch_gain=0.5, vacuous=False, reason=None)
VACUOUS = replace(LEARNED, gain_low=1.0, vacuous=True, reason="the baseline has hardly learned")


def quality(loss: float = 0.0, seeds: int = 3, examples: int = 4000, margin: float = 1.0) -> QualityEvidence:
    rng = np.random.default_rng(0)
    draws = rng.random((seeds, examples))
    differences = np.where(draws < 0.02, -100.0, np.where(draws > 0.98, 100.0, 0.0)) - loss
    value = assess(differences, margin=margin, alpha=0.05)
    return {"em": value, "f1": value}


RUN = RunRecord(name="run", started="", config=RunConfig(), command="", environment={}, data={}, scoring=TASK.scoring,
                trials=())  # fmt: skip
NOTHING = Trials(name="x", everything=(), done=())
SAME_WORK = Work(updates=8, updates_applied=8, windows=8, useful_tokens=8, computed_tokens=8, trained_parameters=8,
                 total_parameters=8, order_sha256="", learning_rate_sha256="", gradient_norm_ratio=1.0, equal=True,
                 differences=(), expected=())  # fmt: skip


def case(estimate: float = 1.2, effects: tuple[str, ...] = ("SAME_MATH",), **changes: Any) -> Case:
    """Return a contender that is faster and makes the same updates, but for `changes`; see `change`."""
    found = Evidence(
        seeds=(0, 1, 2),
        pairs=3,
        effects=effects,
        phases=(),
        speed=speed(estimate),
        job=job(estimate),
        warm_up=None,
        time_to_score=None,
        equivalence=HOLDS,
        footprint=FootprintDifference(inert=False, aspects=("operators of training",)),
        quality=quality(),
        energy=None,
        throughput=None,
        memory=None,
        sampling=None,
        compile_cache=None,
    )
    floor = NoiseFloor(ratio=ratio(1.0), share=0.01)
    reference = Reference(run=RUN, baseline=NOTHING, floor=floor, learning=LEARNED, dtype="float32")
    return change(Case(trials=NOTHING, reference=reference, work=SAME_WORK, evidence=found), **changes)


def change(item: Case, **changes: Any) -> Case:
    """Return the case with other fields of itself, its evidence, or what it is held against."""
    parts: dict[str, dict[str, Any]] = {"case": {}, "evidence": {}, "reference": {}}
    for name, value in changes.items():
        owner = next(n for n, part in (("case", item), ("evidence", item.evidence), ("reference", item.reference))
                     if hasattr(part, name))  # fmt: skip
        parts[owner][name] = value
    return replace(
        item,
        evidence=replace(item.evidence, **parts["evidence"]),
        reference=replace(item.reference, **parts["reference"]),
        **parts["case"],
    )


def trials(kind: str = "job", **fields: Any) -> Trials:
    """Return a contender with one trial of this kind."""
    record = TrialRecord(contender="x", kind=kind, seed=0, status="done", **fields)
    trial = LoadedTrial(directory=Path("nowhere"), record=record, steps=[], predictions={})
    return Trials(name="x", everything=(trial,), done=(trial,) if kind == "job" else ())


def evaluation_check(**changes: Any) -> EvaluationCheckRecord:
    return EvaluationCheckRecord(**{"windows": 8, "error": None, "dtype": "float32"} | changes)


@dataclass(frozen=True)
class Told:
    """A judgement as people read it."""

    verdict: str
    reasons: tuple[str, ...]


def tell(judgement: Judgement) -> Told:
    return Told(judgement.verdict, tuple(reason.text for reason in judgement.reasons))


def judge(item: Case) -> Told:
    return tell(judge_all({"x": item}, alpha=0.05)["x"])


def words(item: Case) -> tuple[str | None, str | None]:
    """Return the words for speed and quality."""
    judgement = judge_all({"x": item}, alpha=0.05)["x"]
    return judgement.speed, judgement.quality


def test_faster_with_equivalent_updates_is_accepted() -> None:
    judgement = judge(case())
    assert judgement.verdict == "ACCEPTED"
    assert "equivalence" in judgement.reasons[1]


def test_faster_with_equivalent_updates_needs_no_learning_baseline() -> None:
    assert judge(case(learning=VACUOUS, quality=None)).verdict == "ACCEPTED"


def test_faster_and_non_inferior_is_accepted() -> None:
    assert judge(case(effects=("LOWER_PRECISION",))).verdict == "ACCEPTED"


def test_unequal_work_is_rejected_before_everything_else() -> None:
    inert = FootprintDifference(inert=True, aspects=())
    half = replace(SAME_WORK, equal=False, differences=("half of it",))
    judgement = judge(case(work=half, footprint=inert, speed=None))
    assert judgement == Told("REJECTED", ("unequal work: half of it",))


def test_claimed_but_broken_mathematics_is_rejected_with_the_tensor() -> None:
    judgement = judge(case(equivalence=BROKEN))
    assert judgement.verdict == "REJECTED"
    assert "layer.3.weight" in judgement.reasons[0]
    assert judge(case(effects=("NEW_MODEL",), equivalence=BROKEN)).verdict == "ACCEPTED"


IN_BF16 = replace(HOLDS, dtype="bfloat16", tolerance=0.2, tolerance_dtype="bfloat16")
LOWER = ("SAME_MATH", "LOWER_PRECISION")


@pytest.mark.parametrize("effects", [("LOWER_PRECISION",), LOWER])
def test_broken_mathematics_in_a_lower_precision_is_rejected_with_the_tensor(effects: tuple[str, ...]) -> None:
    judgement = judge(case(effects=effects, equivalence=replace(BROKEN, dtype="bfloat16")))
    assert judgement.verdict == "REJECTED"
    assert judgement.reasons[0].startswith("it claims the baseline's mathematics in a lower precision, but the ")
    assert "layer.3.weight" in judgement.reasons[0]


@pytest.mark.parametrize("effects", [(*LOWER, "NEW_SCHEDULE"), (*LOWER, "NEW_MODEL")])
def test_who_announces_other_updates_is_not_held_against_the_reference(effects: tuple[str, ...]) -> None:
    assert judge(case(effects=effects, equivalence=BROKEN)).verdict != "REJECTED"


def test_a_lower_precision_within_its_tolerance_proves_nothing_and_says_so() -> None:
    worst = TensorError(name="layer.3.weight", gradient=0.019, update=0.1)
    item = case(effects=LOWER, equivalence=replace(IN_BF16, worst=worst))
    accepted = judge(item)
    assert accepted.verdict == "ACCEPTED"
    assert "quality holds: EM" in accepted.reasons[1]
    assert accepted.reasons[2] == (
        "some updates are the reference's within the tolerance of bfloat16 (worst tensor layer.3.weight: 0.02, allowed "
        "2e-01), which alone does not show that quality holds"
    )
    still_open = judge(change(item, quality=quality(examples=100)))
    assert still_open.verdict == "FASTER"
    assert "within the tolerance of bfloat16" in still_open.reasons[-1]
    unscored = judge(change(item, quality=None))
    assert unscored.verdict == "FASTER"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_lower_precision_proves_nothing_even_where_fp32_is_what_shows(dtype: str) -> None:
    item = case(effects=LOWER, equivalence=replace(IN_BF16, dtype=dtype), quality=quality(examples=100))
    assert judge(item).verdict == "FASTER"


def test_a_lower_precision_without_a_check_is_judged_as_before() -> None:
    judgement = judge(case(effects=LOWER, equivalence=None))
    assert judgement.verdict == "ACCEPTED"
    assert "quality holds: EM" in judgement.reasons[1]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "tf32"])
def test_who_claims_the_same_mathematics_in_a_lower_precision_is_rejected(dtype: str) -> None:
    judgement = judge(case(equivalence=replace(HOLDS, dtype=dtype, tolerance=8e-2)))
    assert judgement.verdict == "REJECTED"
    assert judgement.reasons == (f"it claims the baseline's mathematics, but computes in {dtype}",)


def test_the_baselines_own_lower_precision_breaks_no_claim_but_proves_nothing() -> None:
    in_bf16 = case(equivalence=replace(HOLDS, dtype="bfloat16", tolerance=8e-2), dtype="bfloat16")
    accepted = judge(in_bf16)
    assert accepted.verdict == "ACCEPTED"
    assert "quality holds: EM" in accepted.reasons[1]
    assert judge(change(in_bf16, quality=quality(examples=100))).verdict == "FASTER"
    assert judge(case(dtype="bfloat16", quality=quality(examples=100))).verdict == "ACCEPTED"


def test_a_check_that_could_not_be_made_leaves_it_open_and_is_told() -> None:
    unscored = case(trials=trials(evaluation_check=evaluation_check(problem="ValueError")))
    judgement = judge(unscored)
    assert judgement.verdict == "FASTER"
    assert judgement.reasons[1] == "quality is open: its scores could not be checked: ValueError"
    assert words(unscored) == ("FASTER", "OPEN")
    unmade = case(equivalence=replace(HOLDS, holds=False, unmade="its gradients overflowed"))
    assert judge(unmade).reasons[1] == "quality is open: its updates could not be checked: its gradients overflowed"
    assert judge(change(unscored, job=job(0.9))).verdict == "SLOWER", "that needs no scores"


def test_without_a_common_seed_its_work_is_unknown() -> None:
    judgement = judge(case(pairs=0))
    assert judgement.verdict == "NOT_MEASURED"
    assert "no job of it has a baseline job of the same seed" in judgement.reasons[0]


@pytest.mark.parametrize("effect", ["SAME_MATH", "LOWER_PRECISION"])
def test_a_shown_loss_of_quality_is_rejected_whatever_was_claimed(effect: str) -> None:
    judgement = judge(case(effects=(effect,), quality=quality(loss=20.0)))
    assert judgement.verdict == "REJECTED"
    assert "is worse" in judgement.reasons[0]


def test_a_collapse_is_rejected_even_with_one_seed_and_a_small_loss_is_not() -> None:
    collapsed = case(effects=("LOWER_PRECISION",), quality=quality(loss=30.0, seeds=1), pairs=1)
    assert judge(collapsed).verdict == "REJECTED"
    assert judge(change(collapsed, quality=quality(loss=5.0, seeds=1))).verdict == "FASTER"


def test_who_declares_a_phase_is_not_inert_because_training_runs_as_before() -> None:
    inert = FootprintDifference(inert=True, aspects=())
    assert judge(case(1.2, footprint=inert, phases=("imports",))).verdict == "ACCEPTED"
    assert judge(case(1.0, footprint=inert, phases=("imports",))).verdict == "NO_GAIN"


def test_nothing_changed_is_inert_whatever_the_clock_says() -> None:
    inert = FootprintDifference(inert=True, aspects=())
    assert judge(case(2.0, footprint=inert)).verdict == "INERT"
    assert judge(case(0.5, footprint=inert)).verdict == "INERT"


def test_spoilt_blocks_are_not_measured_and_say_why() -> None:
    spoilt = replace(speed(1.2), training=None, spoilt=15, contamination=("the GPU was throttled (sw_power_cap)",))
    judgement = judge(case(speed=spoilt, job=None))
    assert judgement.verdict == "NOT_MEASURED"
    assert judgement.reasons == ("15 of 15 timed blocks spoilt: the GPU was throttled (sw_power_cap)",)


BUSY = "other processes used 1.30 of 2 processor cores"


def spoilt_baseline() -> Trials:
    """Return a baseline whose A/A blocks are all spoilt."""
    block = BlockRecord(kind="training", number=1, attempt=1, first="baseline", windows=8, baseline_s=(1.0, 1.0),
                        contender_s=(1.0, 1.0), contamination=(BUSY,))  # fmt: skip
    return trials("speed", speed=SpeedRecord(blocks=(block,) * 12, stopped="", settle_s=0.0))


def test_what_was_not_measured_names_its_true_cause() -> None:
    spoilt = replace(speed(3.9), training=None, blocks=12, spoilt=12, contamination=(BUSY,))
    without = replace(RUN, config=override(RunConfig(), {"speed.enabled": False}))
    for item, cause in (
        (case(run=without, speed=None, job=None, floor=None), "not asked for: the run was made without timed segments"),
        (case(speed=None, job=None, floor=None), "its segments beside the live baseline have not been timed"),
        (case(speed=spoilt, job=None, floor=None, baseline=spoilt_baseline()), f"12 of 12 timed blocks spoilt: {BUSY}"),
        (case(job=None, floor=None, baseline=spoilt_baseline()),
         f"no noise floor: of the baseline against itself (A/A) 12 of 12 timed blocks spoilt: {BUSY}"),
        (case(job=None, floor=None), "no noise floor: the baseline has not been timed against itself (A/A)"),
        (case(job=None), "its whole job was not measured"),
    ):  # fmt: skip
        judgement = judge(item)
        assert judgement.verdict == "NOT_MEASURED"
        assert judgement.reasons[0].startswith(cause)
        assert len(judgement.reasons) == 1
        assert words(item)[0] is None


def test_shown_to_gain_less_than_is_worth_it_is_no_gain() -> None:
    judgement = judge(case(1.002))
    assert judgement.verdict == "NO_GAIN"
    assert judgement.reasons[0].endswith(": shown to gain less than 2 % (--worth)")
    assert words(case(1.002)) == ("NO_GAIN", "SAME")


def test_within_noise_but_perhaps_worth_it_is_unclear() -> None:
    wide = case(1.01, speed=speed(1.01, 0.03), job=job(1.01, 0.03))
    assert wide.evidence.job is not None
    assert wide.evidence.job.ratio.high > 1.02
    assert judge(wide).verdict == "UNCLEAR"


def test_what_is_worth_it_is_the_users() -> None:
    def worth(share: float) -> RunRecord:
        return replace(RUN, config=override(RunConfig(), {"worth": share}))

    assert judge(case(1.002, run=worth(0.0))).verdict == "UNCLEAR"
    assert judge(case(1.2, run=worth(0.3))).verdict == "NO_GAIN", "faster, but by less than anybody wants"
    assert judge(case(1.05, run=worth(0.3), floor=NoiseFloor(ratio=ratio(1.0), share=0.5))).verdict == "NO_GAIN"


def test_no_gain_is_shown_if_and_only_if_the_upper_end_is_below_worth() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(100):
        estimate, deviation, floor = rng.normal(1.02, 0.05), rng.uniform(0.002, 0.03), rng.uniform(0.01, 0.05)
        known = job(estimate, deviation)
        verdict = judge(case(estimate, job=replace(known, floor=floor))).verdict
        below = known.ratio.high < 1.02
        assert verdict in (("NO_GAIN", "SLOWER") if below else ("UNCLEAR", "ACCEPTED"))
        seen.add(verdict)
    assert {"NO_GAIN", "UNCLEAR", "ACCEPTED"} <= seen


def test_a_wide_noise_floor_makes_no_gain_of_nothing() -> None:
    item = case(1.05)
    assert item.evidence.job is not None
    assert judge(change(item, job=replace(item.evidence.job, floor=0.5))).verdict == "UNCLEAR"


def test_slower_beyond_noise_is_slower() -> None:
    assert judge(case(0.9)).verdict == "SLOWER"


def seeds_decide() -> Case:
    """Return a job that is about 10 % faster, most of whose interval is start-up."""
    known = job(1.1)
    terms = (
        Term(part="start-up", log_standard_error=0.04, degrees_of_freedom=4.0, samples=5, settled_by="seeds"),
        Term(part="training", log_standard_error=0.01, degrees_of_freedom=8.0, samples=11, settled_by="budget"),
    )
    wide = combine(math.log(1.1), [(term.log_standard_error, term.degrees_of_freedom) for term in terms], blocks=11)
    return case(1.1, job=replace(known, ratio=wide, terms=terms), run=STARTED, trials=trials(job_time_s=25.0),
                baseline=trials(job_time_s=30.0))  # fmt: skip


STARTED = replace(RUN, name="mine", command="speedproof run sdpa --seeds=1 --name other --budget 9", config=override(
    RunConfig(), {"seeds": 1, "speed.budget_s": 9.0}))  # fmt: skip


def test_unclear_names_the_term_that_dominates_and_the_command_that_settles_it_with_its_time() -> None:
    judgement = judge(seeds_decide())
    assert judgement.verdict == "UNCLEAR"
    assert judgement.reasons[0] == (
        "job 1.10× (0.99 to 1.23), neither shown to be faster or slower by more than 1 % nor to gain less than 2 % "
        "(--worth)"
    )
    assert judgement.reasons[1] == (
        "94 % of this interval is start-up: ±1.1 s (one standard error) in a job of 27.3 s, known from 5 jobs"
    )
    found = re.fullmatch(r"to settle it: `(.*)`, (.*)", judgement.reasons[2])
    assert found is not None
    command, time = found.groups()
    seeds = int(command.split()[-1])
    assert command == f"speedproof run sdpa --budget 9 --name mine --seeds {seeds}"
    assert time == f"about {(seeds - 1) * 55 / 60:.0f} minutes"


@pytest.mark.parametrize("part", ["seeds", "budget"])
def test_what_is_said_to_settle_it_does_if_the_estimate_stays(part: str) -> None:
    item = seeds_decide()
    assert item.evidence.job is not None
    terms = tuple(replace(term, settled_by=part) for term in item.evidence.job.terms)
    item = change(item, job=replace(item.evidence.job, terms=terms))
    (judgement,) = judge_all({"x": item}, alpha=0.05).values()
    numbers = judgement.reasons[2].numbers
    assert (numbers["seeds"] > 1) == (part == "seeds")
    assert (numbers["times_budget"] > 1) == (part == "budget")
    times = numbers["seeds"] * numbers["times_budget"]
    more = combine(math.log(1.1), [(term.log_standard_error / times**0.5, term.degrees_of_freedom * times)
                                   for term in terms], blocks=11)  # fmt: skip
    assert judge(change(item, job=replace(item.evidence.job, ratio=more))).verdict == "ACCEPTED"


def test_nothing_is_advised_that_could_not_help() -> None:
    item = seeds_decide()
    assert item.evidence.job is not None
    fixed = tuple(replace(term, settled_by=None) for term in item.evidence.job.terms)
    told = judge(change(item, job=replace(item.evidence.job, terms=fixed)))
    assert not any("`" in reason for reason in told.reasons)
    assert "would hardly settle it" in told.reasons[2]


def test_open_quality_of_a_faster_one_says_what_would_settle_it() -> None:
    judgement = judge(case(effects=("LOWER_PRECISION",), quality=quality(examples=100)))
    assert judgement.verdict == "FASTER"
    assert "quality is open" in judgement.reasons[1]
    assert "questions" in judgement.reasons[2]


def test_a_vacuous_baseline_certifies_nothing_for_lower_precision() -> None:
    judgement = judge(case(effects=("LOWER_PRECISION",), learning=VACUOUS))
    assert judgement.verdict == "FASTER"
    assert "hardly learned" in judgement.reasons[1]


def test_a_baseline_that_has_not_learned_shows_no_loss() -> None:
    lost = case(effects=("LOWER_PRECISION",), quality=quality(loss=20.0))
    assert judge(lost).verdict == "REJECTED"
    assert judge(change(lost, learning=VACUOUS)).verdict == "FASTER"


def test_one_seed_cant_be_accepted_by_em_and_f1() -> None:
    judgement = judge(case(effects=("LOWER_PRECISION",), quality=quality(seeds=1, examples=20_000), pairs=1))
    assert judgement.verdict == "FASTER"
    assert judgement.reasons[2].startswith(
        "to settle it, if nothing is really lost: `harness.run with name=run, seeds=2`"
    )


def reached(speedup: float | None) -> TimeToScore:
    return TimeToScore(target=44.0, baseline_epochs=(3,), contender_epochs=(3,) if speedup else (None,),
                       baseline_s=30.0,
                       contender_s=None if speedup is None else 30.0 / speedup, speedup=speedup)  # fmt: skip


@pytest.mark.parametrize(
    ("time", "verdict"), [(reached(1.3), "ACCEPTED"), (reached(None), "FASTER"), (reached(0.9), "UNCLEAR")]
)
def test_a_new_schedule_must_reach_the_baselines_f1_sooner(time: TimeToScore, verdict: str) -> None:
    assert judge(case(effects=("NEW_SCHEDULE",), time_to_score=time)).verdict == verdict


def test_a_new_schedule_whose_f1_was_not_timed_is_open() -> None:
    judgement = judge(case(effects=("NEW_SCHEDULE",), time_to_score=None))
    assert judgement.verdict == "FASTER"
    assert "was not measured" in judgement.reasons[1]


def test_segments_and_jobs_that_contradict_each_other_are_unclear() -> None:
    judgement = judge(case(job=job(1.2, as_run=0.7)))
    assert judgement.verdict == "UNCLEAR"
    assert "contradict" in judgement.reasons[0]


@pytest.mark.parametrize(
    "changes",
    [{"job": job(1.2, as_run=0.7)}, {"effects": ("NEW_SCHEDULE",)}],
    ids=["contradiction", "late schedule"],
)
@pytest.mark.parametrize(("seeds", "asked"), [(1, 3), (3, 5), (19, None)])
def test_what_the_jobs_did_by_chance_is_settled_by_more_of_them(
    changes: dict[str, Any], seeds: int, asked: int | None
) -> None:
    run = replace(STARTED, config=override(STARTED.config, {"seeds": seeds}))
    judgement = judge(case(time_to_score=reached(0.9), run=run, **changes))
    assert judgement.verdict == "UNCLEAR"
    told = re.findall("to settle whether that is chance: `speedproof run .*--seeds ([0-9]+)`", judgement.reasons[-1])
    assert told == ([] if asked is None else [str(asked)])


def test_many_contenders_raise_the_bar_for_each() -> None:
    weak = case(1.03, speed=speed(1.03, 0.02), job=job(1.03, 0.02))
    alone = judge(weak).verdict
    among = judge_all({str(i): weak for i in range(1)} | {f"n{i}": case(1.0) for i in range(40)}, alpha=0.05)["0"]
    assert alone == "ACCEPTED"
    assert among.verdict != "ACCEPTED"


def test_a_run_that_is_judged_again_has_less_of_its_error_rate_left_for_each_look() -> None:
    weak = case(1.03, speed=speed(1.03, 0.02), job=job(1.03, 0.02))
    assert judge(weak).verdict == "ACCEPTED"
    assert judge(change(weak, run=replace(RUN, looks=5))).verdict != "ACCEPTED"


def beside_equals(item: Case, others: int) -> Told:
    equal = case(1.0)
    return tell(judge_all({"x": item} | {f"equal {number}": equal for number in range(others)}, alpha=0.05)["x"])


@pytest.mark.parametrize("effect", ["SAME_MATH", "LOWER_PRECISION"])
def test_beyond_noise_alone_is_unclear_and_not_within_noise_among_many(effect: str) -> None:
    weak = case(1.03, effects=(effect,), speed=speed(1.03, 0.02), job=job(1.03, 0.02))
    assert beside_equals(weak, 0).verdict == "ACCEPTED"
    judgement = beside_equals(weak, 40)
    assert judgement.verdict == "UNCLEAR"
    assert judgement.reasons[1] == "not yet clear among 41 contenders, which are corrected for together"


def test_slower_alone_is_still_shown_to_gain_nothing_among_many() -> None:
    weak = case(1 / 1.03, speed=speed(1 / 1.03, 0.02), job=job(1 / 1.03, 0.02))
    assert beside_equals(weak, 0).verdict == "SLOWER"
    assert beside_equals(weak, 40).verdict == "NO_GAIN"


def test_no_gain_is_corrected_for_the_number_of_contenders_too() -> None:
    weak = case(1.0, speed=speed(1.0, 0.016), job=job(1.0, 0.016))
    faster = case(1.5)
    assert judge(weak).verdict == "NO_GAIN"
    among = judge_all({"x": weak} | {f"other {number}": faster for number in range(40)}, alpha=0.05)
    assert among["x"].verdict == "UNCLEAR"
    assert among["other 0"].verdict == "ACCEPTED"


def test_among_many_it_says_how_much_more_budget_would_settle_it() -> None:
    weak = case(1.03, speed=speed(1.03, 0.02), job=job(1.03, 0.02), run=STARTED)
    judgement = judge_all({"x": weak} | {f"equal {number}": case(1.0) for number in range(40)}, alpha=0.05)["x"]
    times = judgement.reasons[3].numbers["times_budget"]
    assert times > 1.0
    assert weak.evidence.job is not None
    more = ratio(1.03, 0.02, blocks=round(12 * times))
    assert beside_equals(change(weak, job=replace(weak.evidence.job, ratio=more)), 40).verdict == "ACCEPTED"


def test_a_sooner_new_schedule_is_not_called_too_late_among_many() -> None:
    weak = case(1.03, effects=("NEW_SCHEDULE",), speed=speed(1.03, 0.02), job=job(1.03, 0.02),
                    time_to_score=reached(1.03))  # fmt: skip
    judgement = beside_equals(weak, 40)
    assert judgement.verdict == "UNCLEAR"
    assert "not yet clear among 41 contenders" in judgement.reasons[1]


def test_quality_is_not_called_open_where_equivalence_holds() -> None:
    fast = case(1.2, effects=("LOWER_PRECISION",), quality=quality(examples=100))
    weak = case(1.03, speed=speed(1.03, 0.02), job=job(1.03, 0.02), quality=quality(seeds=1), pairs=1)
    judgement = tell(judge_all({"x": weak} | {f"fast {number}": fast for number in range(40)}, alpha=0.05)["x"])
    assert judgement.verdict == "UNCLEAR"
    assert not any("quality" in reason or "seeds" in reason for reason in judgement.reasons[:2])
    assert "not yet clear among 41 contenders" in judgement.reasons[1]


def test_a_rejection_tells_everything_that_disqualifies_each_thing_once() -> None:
    two = trials(evaluation_check=evaluation_check(error=0.5), clock_error_s=9.0, job_time_s=10.0)
    half = replace(SAME_WORK, equal=False, differences=("half of it", "another order"))
    (judgement,) = judge_all({"x": case(work=half, trials=replace(two, done=two.done * 2))}, alpha=0.05).values()
    assert judgement.verdict == "REJECTED"
    assert [reason.rule for reason in judgement.reasons] == ["unequal_work"] * 2 + ["wrong_scores", "wrong_clock"]


def test_unequal_work_in_the_segments_disqualifies_unless_it_is_announced() -> None:
    block = BlockRecord(kind="training", number=1, attempt=1, first="baseline", windows=8, baseline_s=(1.0, 1.0),
                        contender_s=(1.0, 1.0), work={"useful_tokens": (9000, 8000)})  # fmt: skip
    beside = trials("speed", speed=SpeedRecord(blocks=(block,), stopped="", settle_s=0.0))
    told = judge(case(trials=beside))
    assert told == Told("REJECTED", ("unequal work in the timed segments: useful tokens 8,000, the baseline's 9,000",))
    assert judge(case(trials=beside, effects=("NEW_SCHEDULE",), time_to_score=reached(1.3))).verdict == "ACCEPTED"


def test_a_reason_names_its_rule_and_holds_its_numbers() -> None:
    (judgement,) = judge_all({"x": case(0.9)}, alpha=0.05).values()
    reason = judgement.reasons[0]
    assert (reason.rule, reason.numbers["noise_floor"]) == ("slower", 0.01)
    assert reason.numbers["low"] < reason.numbers["job_speedup"] < reason.numbers["high"]
    (open_quality,) = judge_all(
        {"x": case(effects=("LOWER_PRECISION",), quality=quality(examples=100))}, alpha=0.05
    ).values()
    assert {reason.rule for reason in open_quality.reasons} == {"open_quality"}
    assert open_quality.reasons[1].numbers["em_margin"] == 1.0


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
