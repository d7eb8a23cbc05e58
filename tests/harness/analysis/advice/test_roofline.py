"""MFU and the speed of light: each number worked out by hand from made-up jobs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.advice.flops import TRAINING_FACTOR, LengthSums, ModelSizes, inference_flops
from harness.analysis.advice.peaks import DENSE_PEAKS, find_dense_peak
from harness.analysis.advice.roofline import build_roofline
from harness.analysis.evidence.gather import Case, Evidence, Reference
from harness.analysis.evidence.job import JobSpeed
from harness.analysis.evidence.speed import SpeedEvidence
from harness.analysis.evidence.trials import Trials
from harness.presets import preset
from harness.records.machine import RoofRecord
from harness.records.store import LoadedTrial
from harness.records.trial import EpochRecord, RunRecord, Settings, TrialRecord, WorkRecord
from harness.statistics.paired import ratio_of_logs
from harness.tasks.question_answering.task import TASK

SIZES = ModelSizes(hidden_size=64, layers=2, intermediate_size=256)
TRAIN = LengthSums(tokens=4_000, squared_tokens=900_000)
VALIDATION = LengthSums(tokens=1_000, squared_tokens=220_000)
EPOCHS = 2
ROOF = RoofRecord(
    matmul_tflops={"float32": 0.1, "bfloat16": 0.4},
    copy_gb_per_s=10.0,
    device_name="A Processor",
    threads=2,
    shapes={"float32": "512×64×192", "bfloat16": "2048×64×256"},
    took_s=2.0,
)
TRAINING_FLOPS = TRAINING_FACTOR * inference_flops(SIZES, TRAIN)
USEFUL_FLOPS = EPOCHS * TRAINING_FLOPS


def run_record(roof=ROOF, *, sizes=True, lengths=True):
    data = {
        "train_tokens": TRAIN.tokens,
        "train_squared_tokens": TRAIN.squared_tokens,
        "validation_tokens": VALIDATION.tokens,
        "validation_squared_tokens": VALIDATION.squared_tokens,
    }
    names = {"hidden_size": 64, "layers": 2, "heads": 2, "intermediate_size": 256, "parameters": 1}
    return RunRecord(name="r", started="", config=preset("smoke"), command="", environment={}, trials=(),
                     scoring=TASK.scoring, roof=roof,
                     data=data if lengths else {}, model_sizes=names if sizes else {})  # fmt: skip


def make_job(*, training_s=4.0, dtype="float32", tokens=EPOCHS * 4_000, **work):
    counts = {"updates": 16, "updates_applied": 16, "windows": 64, "useful_tokens": tokens,
              "computed_tokens": 2 * tokens, "token_id_sum": 1, "trained_parameters": 9,
              "total_parameters": 9}  # fmt: skip
    epoch = EpochRecord(
        epoch=1, train_time_s=training_s / 2, train_loss=1.0, evaluation_time_s=1.0, scores={"em": 1.0, "f1": 1.0}
    )
    return TrialRecord(
        contender="x",
        kind="job",
        seed=0,
        status="done",
        settings=Settings(forward_dtype=dtype),
        phases_s={"training": training_s, "evaluation": 2.0},
        job_time_s=training_s + 2.0,
        epochs=(epoch,) * EPOCHS,
        work=WorkRecord(**(counts | work), untrained_tensors=(), order_sha256="", learning_rate_sha256=""),
    )


def segments(speedup):
    ratio = ratio_of_logs(np.log(speedup) + 0.001 * np.array([1.0, -1.0, 1.0, -1.0]))
    return SpeedEvidence(training=ratio, evaluation=ratio, blocks=4, repeats=0, spoilt=0, contamination=(), stopped="",
                         same_samples=True)  # fmt: skip


def trained(name, job, speed=None, job_s=None):
    done = [LoadedTrial(directory=Path(), record=job, steps=[], predictions={})]
    trials = Trials(name=name, everything=done, done=done)
    whole = None
    if job_s is not None:
        whole = JobSpeed(ratio=segments(1.0).training, floor=0.01, baseline_s=6.0, contender_s=job_s, as_run=None)
    reference = Reference(run=run_record(), baseline=trials, floor=None, learning=None, dtype=None)
    evidence = Evidence(seeds=(0,), pairs=1, effects=(), phases=(), speed=speed, job=whole)
    return Case(trials=trials, reference=reference, work=None, evidence=evidence)


BASELINE = trained("baseline", make_job(), speed=segments(1.02))


def draw(*contenders, run=None):
    return build_roofline(run or run_record(), {case.trials.name: case for case in (BASELINE, *contenders)})


def test_speed_of_light_is_useful_work_at_the_best_rate():
    roofline = draw()
    flops = USEFUL_FLOPS + EPOCHS * inference_flops(SIZES, VALIDATION)
    assert roofline.job_useful_flops == pytest.approx(flops)
    assert roofline.flops_per_useful_token == pytest.approx(TRAINING_FLOPS / 4_000)
    assert (roofline.best_dtype, roofline.copy_gb_per_s) == ("bfloat16", 10.0)
    assert roofline.speed_of_light_s == pytest.approx(flops / 0.4e12)


def test_mfu_of_the_baseline_is_its_own_training_against_its_own_dtype():
    roofline = draw()
    (point,) = roofline.points
    assert point.useful_tflops == pytest.approx(USEFUL_FLOPS / 4.0 / 1e12)
    assert (point.dtype, point.mfu) == ("float32", pytest.approx(point.useful_tflops / 0.1))
    assert point.job_over_light == pytest.approx(6.0 / roofline.speed_of_light_s)


def test_a_contenders_time_is_the_baselines_by_the_segments_whatever_its_job_drifted_to():
    drifted = trained("fast", make_job(training_s=40.0, dtype="bfloat16"), speed=segments(2.0), job_s=4.0)
    point = draw(drifted).points[1]
    assert point.useful_tflops == pytest.approx(USEFUL_FLOPS / 2.0 / 1e12)
    assert (point.dtype, point.mfu) == ("bfloat16", pytest.approx(point.useful_tflops / 0.4))


def test_without_segments_its_own_training_counts():
    assert draw(trained("slow", make_job(training_s=8.0))).points[1].useful_tflops == pytest.approx(
        USEFUL_FLOPS / 8.0 / 1e12
    )


def test_half_the_tokens_are_half_the_useful_work():
    half = trained("half", make_job(tokens=4_000, training_s=4.0))
    assert draw(half).points[1].useful_tflops == pytest.approx(USEFUL_FLOPS / 2 / 4.0 / 1e12)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        (make_job(dtype="float16"), "no rate was measured for products in float16"),
        (make_job(updates_applied=15), "not all of its updates changed the model"),
        (make_job(trained_parameters=3), "it trains other parameters than the baseline"),
    ],
)
def test_who_can_not_be_placed_is_named_with_the_reason(job, reason):
    roofline = draw(trained("odd", job))
    assert [point.contender for point in roofline.points] == ["baseline"]
    assert f"odd is left out: {reason}" in roofline.note


def test_faster_than_the_roof_is_said():
    roof = replace(ROOF, matmul_tflops={"float32": 1e-6})
    assert "baseline trained faster than the roof" in draw(run=run_record(roof)).note


@pytest.mark.parametrize("run", [run_record(None), run_record(sizes=False), run_record(lengths=False)])
def test_without_roof_sizes_or_lengths_there_is_no_roofline(run):
    assert draw(run=run) is None


def test_without_the_baselines_job_there_is_no_roofline():
    assert build_roofline(run_record(), {"fast": trained("fast", make_job())}) is None


def test_a_known_gpu_is_held_against_its_dense_peak_too():
    roof = replace(ROOF, device_name="NVIDIA H200")
    roofline = draw(trained("half", make_job(dtype="bfloat16")), run=run_record(roof))
    assert roofline.note is None
    first, second = roofline.points
    assert first.mfu_dense_peak == pytest.approx(first.useful_tflops / 66.9)
    assert second.mfu_dense_peak == pytest.approx(second.useful_tflops / 989.4)


def test_an_unknown_device_has_no_dense_peak_but_a_note():
    roofline = draw()
    assert roofline.points[0].mfu_dense_peak is None
    assert "the dense peak of A Processor is not in the table" in roofline.note


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A100 80GB PCIe", 312.0),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA L4", 121.0),
        ("NVIDIA L40S", 362.05),
        ("Tesla V100-SXM2-16GB", 125.0),
        ("Tesla T4", 65.0),
    ],
)
def test_dense_peaks_by_the_drivers_name(name, half):
    assert find_dense_peak(name).tflops["float16"] == half


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb",
        "NVIDIA H100 NVL",
        "NVIDIA H200 NVL",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA L40",
        "AMD EPYC",
        "",
    ],
)
def test_parts_of_gpus_and_cousins_have_no_peak(name):
    assert find_dense_peak(name) is None


def test_every_peak_names_its_sheet():
    assert all("data sheet" in peak.source or "white paper" in peak.source for peak in DENSE_PEAKS)


def test_a_recorded_run_has_a_roofline_in_its_analysis(make_run, analysed):
    directory = make_run(seeds=1)
    path = directory / "run.json"
    record = json.loads(path.read_text())
    record["roof"] = {"matmul_tflops": {"float32": 1.0, "bfloat16": 4.0}, "copy_gb_per_s": None, "device_name": "x",
                      "threads": 2, "shapes": {}, "took_s": 2.0}  # fmt: skip
    record["model_sizes"] = {"hidden_size": 384, "layers": 6, "heads": 12, "intermediate_size": 1536}
    record["data"] |= {"train_tokens": 9152, "train_squared_tokens": 700_000,
                       "validation_tokens": 3000, "validation_squared_tokens": 220_000}  # fmt: skip
    path.write_text(json.dumps(record))
    analysis = analysed(directory)
    assert [(p.contender, p.dtype) for p in analysis.roofline.points] == [
        ("baseline", "float32"), ("amp_bf16", "bfloat16"), ("fused_adamw+sdpa", "float32")]  # fmt: skip
    baseline, fast = analysis.roofline.points[:2]
    assert fast.useful_tflops / baseline.useful_tflops == pytest.approx(analysis.contenders[1].step_speedup.estimate)
    assert fast.job_over_light < baseline.job_over_light
