"""The event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata

from harness.analysis.analyse import analyse
from harness.records.store import load_run
from reports.tensorboard import write_tensorboard


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read(folder).Scalars(tag)]


def write(run: Path) -> None:
    loaded = load_run(run)
    write_tensorboard(run / "tensorboard", analyse(loaded), loaded, images={})


@pytest.fixture
def folder(built_run: Path) -> Path:
    return built_run / "tensorboard"


def test_scalars_of_each_seed(folder: Path, recorded: Any) -> None:
    baseline = read(folder / "baseline")
    assert set(baseline.Tags()["scalars"]) >= {
        "train/loss", "train/learning_rate", "train/gradient_norm", "train/step_time_ms", "train/windows_per_s",
        "validation/em", "validation/f1", "epoch/train_time_s",
    }  # fmt: skip
    losses = points(folder / "baseline", "train/loss")
    assert [step for step, _ in losses] == list(range(1, recorded.EPOCHS * recorded.STEPS_PER_EPOCH + 1))
    assert losses[0][1] == pytest.approx(3.0)
    assert points(folder / "baseline/seed1", "train/loss")[0][1] == pytest.approx(3.01)
    assert [step for step, _ in points(folder / "amp_bf16", "validation/f1")] == [1, 2, 3]
    assert not (folder / "compile").exists()


def test_steps_carry_the_time_at_which_they_were(folder: Path, recorded: Any) -> None:
    events = read(folder / "baseline").Scalars("train/loss")
    assert events[0].wall_time == pytest.approx(recorded.TRAINING_START_S + 0.58, abs=0.1)
    assert all(a.wall_time < b.wall_time for a, b in itertools.pairwise(events))


def test_hyperparameter_table(folder: Path) -> None:
    def plugin_data(run: str, tag: str) -> bytes:
        return read(folder / run).SummaryMetadata(tag).plugin_data.content

    experiment = hparams_metadata.parse_experiment_plugin_data(plugin_data("", hparams_metadata.EXPERIMENT_TAG))
    assert {info.name for info in experiment.hparam_infos} == {"amp_bf16", "fused_adamw", "sdpa", "forward dtype"}
    assert {info.name.tag for info in experiment.metric_infos} <= set(read(folder / "amp_bf16").Tags()["scalars"])
    start = hparams_metadata.parse_session_start_info_plugin_data(
        plugin_data("fused_adamw+sdpa", hparams_metadata.SESSION_START_INFO_TAG)
    )
    assert start.group_name == "fused_adamw+sdpa"
    assert (start.hparams["sdpa"].bool_value, start.hparams["amp_bf16"].bool_value) == (True, False)
    assert start.hparams["forward dtype"].string_value == "float32"
    assert points(folder / "baseline", "result/job_speedup") == [(0, 1.0)]


def test_texts_and_images(folder: Path) -> None:
    report = read(folder / "report")
    text = report.Tensors("report/1_result")[0].tensor_proto.string_val[0].decode()
    assert "| `amp_bf16` | **ACCEPTED** |" in text
    width, height, png = report.Tensors("figures/phases")[0].tensor_proto.string_val
    assert (int(width), png[:4]) == (800, b"\x89PNG")
    assert int(height) > 100


def test_building_again_replaces_the_events(make_run: Any) -> None:
    run = make_run(seeds=1)
    write(run)
    first = {path.relative_to(run): path.read_bytes() for path in (run / "tensorboard").rglob("*") if path.is_file()}
    (run / "tensorboard" / "stale").mkdir()
    write(run)
    second = {path.relative_to(run): path.read_bytes() for path in (run / "tensorboard").rglob("*") if path.is_file()}
    assert first == second
    assert not (run / "tensorboard" / "stale").exists()
    assert [path for path in run.iterdir() if path.name.startswith(".")] == []


def test_values_that_are_not_finite_are_left_out(make_run: Any, recorded: Any) -> None:
    run = make_run(seeds=1)
    path = run / "trials/amp_bf16/0/steps.jsonl"
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_text(first.replace('"gradient_norm": 1.0', '"gradient_norm": Infinity') + "\n" + rest, encoding="utf-8")
    write(run)
    steps = [step for step, _ in points(run / "tensorboard/amp_bf16", "train/gradient_norm")]
    assert steps == list(range(2, recorded.EPOCHS * recorded.STEPS_PER_EPOCH + 1))
