"""How far each contender is from what the machine can do: MFU, and the speed of light of the job."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from harness.analysis.advice.findings import Roofline, RooflinePoint
from harness.analysis.advice.flops import TRAINING_FACTOR, inference_flops, read_length_sums, read_model_sizes
from harness.analysis.advice.peaks import find_dense_peak
from harness.analysis.evidence.gather import Case
from harness.analysis.evidence.job import scaled_training_s
from harness.analysis.evidence.parts import Jobs, job_parts
from harness.records.machine import RoofRecord
from harness.records.trial import BASELINE, RunRecord
from harness.statistics.estimate import mean_or_none

TFLOP = 1e12


def build_roofline(run: RunRecord, cases: Mapping[str, Case]) -> Roofline | None:
    """Return the roofline of a run; None without a roof, the model's sizes, the windows' lengths or a baseline's job.

    MFU counts useful tokens, so padding lowers it, and stands against the rate of the contender's own dtype. The mean
    over all training windows is taken for every token, also where a schedule trains on some of them.
    """
    roof, sizes = run.roof, read_model_sizes(run.model_sizes)
    train, validation = read_length_sums(run.data, "train"), read_length_sums(run.data, "validation")
    baseline = cases[BASELINE].trials.timed_jobs if BASELINE in cases else []
    works = [(job.work.useful_tokens, len(job.epochs)) for job in baseline if job.work is not None]
    if not works or roof is None or not roof.matmul_tflops or sizes is None or train is None or validation is None:
        return None
    per_token = TRAINING_FACTOR * inference_flops(sizes, train) / train.tokens
    evaluation = inference_flops(sizes, validation)
    useful_flops = fmean(tokens * per_token + epochs * evaluation for tokens, epochs in works)
    best = max(roof.matmul_tflops, key=lambda dtype: roof.matmul_tflops[dtype])
    light_s = useful_flops / (roof.matmul_tflops[best] * TFLOP)
    points = {name: place_point(case, baseline, roof, per_token, light_s) for name, case in cases.items()}
    notes = []
    if find_dense_peak(roof.device_name) is None:
        what = f"the dense peak of {roof.device_name} is not in the table"
        notes.append(f"{what}, so MFU stands against the measured rate alone")
    for name, point in points.items():
        if isinstance(point, str):
            notes.append(f"{name} is left out: {point}")
        elif point.mfu > 1.0:
            notes.append(f"{name} trained faster than the roof, so the machine was slower while that was measured")
    return Roofline(
        flops_per_useful_token=per_token,
        job_useful_flops=useful_flops,
        speed_of_light_s=light_s,
        best_dtype=best,
        matmul_tflops=dict(roof.matmul_tflops),
        copy_gb_per_s=roof.copy_gb_per_s,
        points=tuple(point for point in points.values() if not isinstance(point, str)),
        note="; ".join(notes) or None,
    )


def place_point(case: Case, baseline: Jobs, roof: RoofRecord, per_token: float, light_s: float) -> RooflinePoint | str:
    """Return where a contender stands, or in words why that can't be said: its operations are counted from tokens."""
    jobs, job = case.trials.timed_jobs, case.evidence.job
    if not jobs:
        return "the machine was busy, or ran at another speed, in its jobs"
    works = [record.work for record in jobs if record.work is not None]
    usual = {record.work.trained_parameters for record in baseline if record.work is not None}
    dtype = jobs[0].settings.forward_dtype
    if dtype is None or dtype not in roof.matmul_tflops:
        return f"no rate was measured for products in {dtype or 'an unknown type'}"
    if not works or len(works) < len(jobs):
        return "its work was not recorded"
    if any(work.updates_applied < work.updates for work in works):
        return "not all of its updates changed the model"
    if any(work.trained_parameters not in usual for work in works):
        return "it trains other parameters than the baseline"
    # Of the baseline it is its jobs' training phase, mean over the seeds: data loading counts, and so does every step
    # (a median step would leave out what makes long batches longer). Of a contender it is the baseline's, divided by
    # the ratio of the timed segments: they alternate between both, so a machine that changes its speed from job to job
    # moves neither. Without segments it is the phase of the contender's own jobs.
    before, own = job_parts(baseline), job_parts(jobs)
    time_s = None
    if before is not None and own is not None:
        scaled_s = None if case.trials.is_baseline else scaled_training_s(before, own, case.evidence.speed)
        time_s = own.training_s if scaled_s is None else scaled_s
    if not time_s:
        return "its training was not timed"
    useful_tflops = fmean(work.useful_tokens for work in works) * per_token / time_s / TFLOP
    peak = find_dense_peak(roof.device_name)
    peak_tflops = None if peak is None else peak.tflops.get(dtype)
    # The job is put together from its parts; the baseline's is as it ran.
    job_s = mean_or_none(record.job_time_s for record in jobs) if job is None else job.contender_s
    return RooflinePoint(
        contender=case.trials.name,
        useful_tflops=useful_tflops,
        mfu=useful_tflops / roof.matmul_tflops[dtype],
        dtype=dtype,
        mfu_dense_peak=None if peak_tflops is None else useful_tflops / peak_tflops,
        job_over_light=None if job_s is None else job_s / light_s,
    )
