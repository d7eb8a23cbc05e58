"""The analysis of whole runs: complete, interrupted, damaged."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.analysis.model import Analysis, ContenderAnalysis, to_json
from harness.records.store import RUN_FILE, STEPS_FILE, TRIAL_FILE, load_run


def contender(analysis: Analysis, name: str) -> ContenderAnalysis:
    return next(found for found in analysis.contenders if found.name == name)


def why(found: ContenderAnalysis) -> tuple[str, ...]:
    return tuple(reason.text for reason in found.reasons)


def test_contract_of_analysis_json(make_run: Any, analysed: Any) -> None:
    data = to_json(analysed(make_run()))
    json.dumps(data, allow_nan=False)
    assert (data["schema_version"], data["baseline"]) == (4, "baseline")
    assert data["noise_floor"]["share"] >= 0.01
    assert data["noise_floor"]["ratio"]["low"] < 1.0 < data["noise_floor"]["ratio"]["high"]
    assert data["environment"]["cpu_cores"] == 2
    assert [found["name"] for found in data["contenders"]] == [
        "baseline", "amp_bf16", "fused_adamw+sdpa", "channels_last", "compile",
    ]  # fmt: skip
    stack = data["contenders"][2]
    assert stack["parts"] == ["fused_adamw", "sdpa"]
    assert stack["verdict"] == "ACCEPTED"
    assert all(set(reason) == {"rule", "text", "numbers"} for reason in stack["reasons"])
    assert stack["reasons"][0]["numbers"]["job_speedup"] == stack["job_speedup"]["estimate"]
    assert set(stack["job_speedup"]) == {"estimate", "low", "high", "kind"}
    assert {"baseline", "contender", "difference", "low", "high"} <= set(stack["scores"]["em"])
    assert set(stack["epochs"][0]) >= {"epoch", "train_time_s", "train_loss", "scores"}
    assert list(stack["phases_s"])[-1] == "other"
    assert stack["work"]["differences"] == []
    assert stack["energy_j"] is None
    assert stack["evidence"]["speed"]["training"]["estimate"] == stack["step_speedup"]["estimate"]
    failed = data["contenders"][4]
    assert (failed["state"], failed["evidence"], failed["epochs"], failed["job_speedup"]) == ("failed", None, [], None)


def test_verdicts_that_need_no_statistics(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    analysis = analysed(make_run())
    assert contender(analysis, "channels_last").verdict == "NOT_APPLICABLE"
    assert why(contender(analysis, "channels_last")) == (recorded.NOT_APPLICABLE_REASON,)
    failed = contender(analysis, "compile")
    assert (failed.verdict, why(failed)) == ("FAILED", (recorded.FAILED_REASON,))
    assert failed.job_speedup is None
    assert failed.peak_memory_gib is None
    assert contender(analysis, "baseline").verdict is None


def test_speedups_of_a_recorded_run(make_run: Any, analysed: Any) -> None:
    analysis = analysed(make_run())
    amp = contender(analysis, "amp_bf16")
    assert amp.step_speedup.estimate == pytest.approx(1.6, rel=0.05)
    assert amp.job_speedup.low < amp.job_speedup.estimate < amp.job_speedup.high
    assert (amp.scores["em"].difference, amp.scores["f1"].difference) == (pytest.approx(0.4), pytest.approx(0.8))
    assert amp.evidence.seeds == (0, 1)
    assert sum(amp.phases_s.values()) == pytest.approx(amp.job_time_s)
    assert contender(analysis, "baseline").job_speedup.estimate == 1.0


def test_one_seed_has_intervals_from_segments_but_cant_be_accepted_by_f1(make_run: Any, analysed: Any) -> None:
    amp = contender(analysed(make_run(seeds=1)), "amp_bf16")
    assert amp.job_speedup.low < amp.job_speedup.estimate < amp.job_speedup.high
    assert amp.scores["f1"].low < amp.scores["f1"].difference < amp.scores["f1"].high
    assert (amp.verdict, amp.speed, amp.quality) == ("FASTER", "FASTER", "OPEN")
    assert any("2 seeds, `speedproof run" in reason for reason in why(amp))


def test_without_segments_there_is_no_number_for_speed_and_the_true_cause_is_told(make_run: Any, analysed: Any) -> None:
    run = make_run()
    for name in ("baseline", "amp_bf16", "fused_adamw+sdpa"):
        shutil.rmtree(run / "trials" / name / "speed")
    analysis = analysed(run)
    amp = contender(analysis, "amp_bf16")
    assert analysis.noise_floor is None
    assert (amp.job_speedup, amp.step_speedup, amp.verdict, amp.speed) == (None, None, "NOT_MEASURED", None)
    assert why(amp)[0].startswith("its segments beside the live baseline have not been timed")
    assert amp.quality == "HOLDS", "its scores were measured"


def test_spoilt_blocks_do_not_count_and_are_told(make_run: Any, analysed: Any) -> None:
    speed = contender(analysed(make_run()), "amp_bf16").evidence.speed
    assert (speed.blocks, speed.repeats, speed.spoilt) == (10, 1, 1)
    assert speed.training.blocks == 6
    assert speed.contamination == ("other processes used 0.90 processor cores",)


def test_gpu_run_has_energy_of_the_training_only(make_run: Any, analysed: Any) -> None:
    baseline = contender(analysed(make_run(gpu=True)), "baseline")
    assert baseline.energy_j == pytest.approx(20 * 400.0)
    assert baseline.peak_memory_gib == pytest.approx(3.21)
    assert baseline.evidence.sampling.samples == 2 * 21
    assert baseline.profile.time_kind == "device"


def test_analysis_is_deterministic_and_holds_no_absolute_path(make_run: Any, analysed: Any, tmp_path: Path) -> None:
    first, second = make_run("a"), make_run("b")
    (first / "trials/compile/0" / TRIAL_FILE).write_text("{", encoding="utf-8")
    (second / "trials/compile/0" / TRIAL_FILE).write_text("{", encoding="utf-8")
    texts = [json.dumps(to_json(analysed(directory))) for directory in (first, second)]
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]


def test_interrupted_run(make_run: Any, analysed: Any) -> None:
    run = make_run()
    for trial in ("amp_bf16/1", "fused_adamw+sdpa/0", "fused_adamw+sdpa/1", "baseline/profile"):
        shutil.rmtree(run / "trials" / trial)
    analysis = analysed(run)
    assert contender(analysis, "amp_bf16").evidence.seeds == (0,)
    assert "1 of 2 planned fine-tunings" in contender(analysis, "amp_bf16").notes[0]
    assert contender(analysis, "fused_adamw+sdpa").state == "not_run"
    assert contender(analysis, "fused_adamw+sdpa").job_speedup is None
    assert contender(analysis, "baseline").profile is None
    assert "4 of 16 planned trials have not been run" in analysis.notes[0]


def test_missing_baseline_gives_no_speedups(make_run: Any, analysed: Any) -> None:
    run = make_run()
    for seed in (0, 1):
        shutil.rmtree(run / "trials/baseline" / str(seed))
    analysis = analysed(run)
    amp = contender(analysis, "amp_bf16")
    assert (amp.job_speedup, amp.step_speedup, amp.scores["f1"].difference, amp.work.equal) == (None, None, None, None)
    assert amp.scores["f1"].contender > 0
    assert analysis.baseline_contender.state == "not_run"
    assert "no whole baseline job" in analysis.warnings[0]


def test_run_without_any_trial(make_run: Any, analysed: Any) -> None:
    run = make_run()
    shutil.rmtree(run / "trials")
    analysis = analysed(run)
    assert {found.state for found in analysis.contenders} == {"not_run"}
    json.dumps(to_json(analysis), allow_nan=False)


@pytest.mark.parametrize("damage", ["steps missing", "steps damaged", "trial damaged"])
def test_damaged_trials_are_named_and_left_out(make_run: Any, analysed: Any, damage: str) -> None:
    run = make_run()
    folder = run / "trials/amp_bf16/1"
    if damage == "steps missing":
        (folder / STEPS_FILE).unlink()
    elif damage == "steps damaged":
        (folder / STEPS_FILE).write_text('{"epoch": 1}\n', encoding="utf-8")
    else:
        (folder / TRIAL_FILE).write_text('{"contender": ', encoding="utf-8")
    analysis = analysed(run)
    assert contender(analysis, "amp_bf16").evidence.seeds == (0,)
    assert any(note.startswith("Left out: trials/amp_bf16/1/") for note in analysis.notes)


def test_one_failed_seed_fails_the_contender(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()
    recorded.record_outcome(run, "amp_bf16", 1, "failed", "OutOfMemoryError: no")
    amp = contender(analysed(run), "amp_bf16")
    assert (amp.verdict, amp.evidence.seeds) == ("FAILED", (0,))


def test_scores_that_could_not_be_checked_are_not_accepted(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()

    def refuse(data: dict[str, Any]) -> None:
        data["evaluation_check"].update(error=None, problem="a plain pass over the model fails: ValueError: packed")

    recorded.edit_trial(run, "fused_adamw+sdpa/1", refuse)
    stack = contender(analysed(run), "fused_adamw+sdpa")
    assert (stack.verdict, stack.quality) == ("FASTER", "OPEN")
    problem = "its scores could not be checked: a plain pass over the model fails: ValueError: packed"
    assert why(stack)[1] == f"quality is open: {problem}"


def test_jobs_of_other_seeds_than_the_baselines_are_not_accepted(make_run: Any, analysed: Any) -> None:
    run = make_run()
    shutil.rmtree(run / "trials/baseline/1")
    shutil.rmtree(run / "trials/fused_adamw+sdpa/0")
    stack = contender(analysed(run), "fused_adamw+sdpa")
    assert stack.verdict == "NOT_MEASURED"
    assert "no job of it has a baseline job of the same seed" in why(stack)[0]


def compute_in(dtype: str) -> Any:
    return lambda data: data["equivalence"].update(dtype=dtype)


def test_same_mathematics_in_bf16_is_rejected_unless_the_baseline_computes_in_it_too(
    make_run: Any, analysed: Any, recorded: ModuleType
) -> None:
    run = make_run()
    recorded.edit_trial(run, "fused_adamw+sdpa/speed", compute_in("bfloat16"))
    stack = contender(analysed(run), "fused_adamw+sdpa")
    assert stack.verdict == "REJECTED"
    assert why(stack) == ("it claims the baseline's mathematics, but computes in bfloat16",)
    recorded.edit_trial(run, "baseline/speed", compute_in("bfloat16"))
    assert contender(analysed(run), "fused_adamw+sdpa").verdict == "ACCEPTED"


def test_a_dtype_without_a_tolerance_of_its_own_ends_no_analysis(
    make_run: Any, analysed: Any, recorded: ModuleType
) -> None:
    run = make_run()
    recorded.edit_trial(run, "amp_bf16/speed", compute_in("float64"))
    for seed in (0, 1):
        recorded.edit_trial(run, f"amp_bf16/{seed}", lambda data: data["evaluation_check"].update(dtype="int8"))
    amp = contender(analysed(run), "amp_bf16")
    assert (amp.evidence.equivalence.dtype, amp.evidence.equivalence.tolerance_dtype) == ("float64", "bfloat16")
    assert amp.verdict == "ACCEPTED"
    recorded.edit_trial(run, "fused_adamw+sdpa/speed", compute_in("float64"))
    other = contender(analysed(run), "fused_adamw+sdpa").evidence.equivalence
    assert (other.dtype, other.tolerance_dtype, other.tolerance) == ("float64", "float32", 1e-4)


def test_a_wrong_gradient_in_a_lower_precision_is_rejected(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()

    def spoil(data: dict[str, Any]) -> None:
        data["equivalence"]["worst"][0]["gradient"] = 0.8

    recorded.edit_trial(run, "amp_bf16/speed", spoil)
    amp = contender(analysed(run), "amp_bf16")
    assert amp.verdict == "REJECTED"
    assert "encoder.layer.0.output.dense.weight" in why(amp)[0]
    assert "(allowed: 2e-01)" in why(amp)[0]


def test_a_check_that_could_not_be_made_leaves_the_verdict_open(
    make_run: Any, analysed: Any, recorded: ModuleType
) -> None:
    run = make_run()

    def overflow(data: dict[str, Any]) -> None:
        data["equivalence"].update(dtype="float16", unmade="its gradients overflowed", cosine=None)
        data["equivalence"]["worst"][0].update(gradient=None, update=1.0)

    recorded.edit_trial(run, "amp_bf16/speed", overflow)
    amp = contender(analysed(run), "amp_bf16")
    assert not amp.evidence.equivalence.holds
    assert (amp.verdict, amp.quality) == ("FASTER", "OPEN")
    assert why(amp)[1:] == ("quality is open: its updates could not be checked: its gradients overflowed",)


def test_failed_profile_is_only_a_note(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run()
    recorded.edit_trial(run, "baseline/profile", lambda d: d.update(status="failed", reason="boom", profile=None))
    baseline = analysed(run).baseline_contender
    assert (baseline.state, baseline.profile) == ("measured", None)
    assert "boom" in baseline.notes[0]


def test_values_that_are_not_finite_become_null(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run(seeds=1)

    def spoil(data: dict[str, Any]) -> None:
        data["epochs"][1]["train_loss"] = math.nan
        data["epochs"][2]["scores"]["f1"] = math.inf
        data["phases_s"]["saving"] = math.nan

    recorded.edit_trial(run, "amp_bf16/0", spoil)
    recorded.edit_trial(run, "baseline/0", lambda data: data["environment"].update(memory_gib=math.nan))
    assert to_json(analysed(run))["environment"]["memory_gib"] is None
    amp = next(c for c in to_json(analysed(run))["contenders"] if c["name"] == "amp_bf16")
    assert amp["epochs"][1]["train_loss"] is None
    assert "f1" not in amp["scores"]
    assert "saving" not in amp["phases_s"]
    json.dumps(amp, allow_nan=False)


def test_busy_machine_and_untrained_baseline_are_warnings(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run(seeds=1)
    answers = run / "trials/baseline/0/predictions.json"
    data = json.loads(answers.read_text(encoding="utf-8"))
    data["0"] = [row | {"scores": row["scores"] | {"f1": max(0.0, row["scores"]["f1"] - 0.01)}} for row in data["3"]]
    answers.write_text(json.dumps(data), encoding="utf-8")
    path = run / "trials/amp_bf16/0/host.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(",1.9,", ",6.5,"), encoding="utf-8")
    busy, learning = analysed(run).warnings
    assert "training of amp_bf16 the load average reached 6.5 on 2 cores" in busy
    assert "the baseline has hardly learned: its F1 is +1.0 points" in learning.replace("The", "the")


def test_damaged_samples_leave_energy_unmeasured(make_run: Any, analysed: Any) -> None:
    run = make_run(gpu=True, seeds=1)
    (run / "trials/baseline/0/gpu.csv").write_text("nonsense\n1\n", encoding="utf-8")
    baseline = analysed(run).baseline_contender
    assert baseline.energy_j is None
    assert baseline.notes[0].startswith("Left out: trials/baseline/0/gpu.csv is damaged")


def test_short_training_states_no_energy(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run(gpu=True, seeds=1)

    def shorten(data: dict[str, Any]) -> None:
        data["sampling"]["training_end_s"] = data["sampling"]["training_start_s"] + 1.0

    recorded.edit_trial(run, "baseline/0", shorten)
    baseline = analysed(run).baseline_contender
    assert baseline.energy_j is None
    assert "no energy is stated: too short" in baseline.notes[0].lower()


def use_of(power_w: float, windows: int) -> dict[str, float]:
    return {
        "energy_j": 3.0 * power_w,
        "integrated_j": 3.1 * power_w,
        "window_s": 3.0,
        "error_s": 0.01,
        "segment_s": 3.2,
        "windows": windows,
        "useful_tokens": 180 * windows,
    }


def record_energy(recorded: ModuleType, run: Path, name: str) -> None:
    energy = {
        "baseline": use_of(500.0, 160),
        "contender": use_of(400.0, 640),
        "epoch_windows": 1000,
        "power_source": "instant",
        "contamination": [],
    }
    recorded.edit_trial(run, f"{name}/speed", lambda data: data["speed"].update(energy=energy))


def test_energy_of_short_jobs_comes_from_segments(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run(gpu=True, seeds=1)
    for name in ("baseline", "amp_bf16"):
        record_energy(recorded, run, name)
        recorded.edit_trial(run, f"{name}/0", lambda d: d["sampling"].update(training_end_s=1.0))
    analysis = analysed(run)
    stack = contender(analysis, "amp_bf16")
    assert stack.energy_j is None
    assert stack.evidence.energy.contender.epoch_j == pytest.approx(400.0 * 3.2 / 640 * 1000)
    assert stack.evidence.energy.ratio == pytest.approx(5.0)
    assert not any("no energy is stated" in note for note in stack.notes)
    entry = next(c for c in to_json(analysis)["contenders"] if c["name"] == "amp_bf16")
    assert entry["evidence"]["energy"]["contender"]["token_j"] == pytest.approx(400.0 * 3.2 / 640 / 180)
    assert contender(analysis, "fused_adamw+sdpa").evidence.energy is None


def test_a_run_without_energy_has_null_there(make_run: Any, analysed: Any) -> None:
    ran = [entry for entry in to_json(analysed(make_run()))["contenders"] if entry["evidence"] is not None]
    assert {entry["evidence"]["energy"] for entry in ran} == {None}


def test_trials_of_different_environments_are_told(make_run: Any, analysed: Any, recorded: ModuleType) -> None:
    run = make_run(seeds=1)
    recorded.edit_trial(run, "amp_bf16/0", lambda d: d["environment"].update(torch_threads=8))
    assert "torch threads is 2, 8" in analysed(run).notes[0]


def test_the_plan_orders_the_contenders(make_run: Any, analysed: Any) -> None:
    run = make_run()
    loaded = load_run(run)
    reordered = replace(loaded.run, trials=tuple(reversed(loaded.run.trials)))
    (run / RUN_FILE).unlink()
    from harness.records.files import write_json

    write_json(run / RUN_FILE, reordered)
    assert analysed(run).contenders[0].name == "baseline"
