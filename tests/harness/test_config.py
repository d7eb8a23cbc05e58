"""Configuration: presets, overrides, checks that name the fields."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from harness.cli.settings import flatten
from harness.config import DataConfig, ModelConfig, RunConfig
from harness.errors import ConfigError
from harness.presets import PRESETS, preset
from harness.records.serialise import build, override


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_survive_the_way_through_json(name):
    import json

    config = preset(name)
    assert build(RunConfig, json.loads(json.dumps(asdict(config)))) == config


def test_seed_is_the_reference_experiment():
    config = preset("seed")
    assert (config.data.train_size, config.data.validation_size) == (1000, 250)
    assert (config.data.max_length, config.data.doc_stride) == (384, 128)
    assert (config.training.epochs, config.training.batch_size, config.training.max_grad_norm) == (5, 16, 1.0)
    assert config.model.source == "distilbert-base-uncased"


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown preset 'sed'.*quick, seed, seed-offline, smoke"):
        preset("sed")


def test_override_changes_one_field_and_keeps_the_rest():
    changed = override(preset("seed"), {"training.epochs": 2, "data.max_length": 256})
    assert (changed.training.epochs, changed.data.max_length, changed.training.batch_size) == (2, 256, 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.epochs": 0}, "training.epochs is 0"),
        ({"training.epoch": 1}, "unknown setting 'training.epoch'"),
        ({"training.epochs": "two"}, "training.epochs is 'two'"),
        ({"training.epochs": True}, "training.epochs is True"),
        ({"data.doc_stride": 400}, "data.doc_stride 400 does not fit data.max_length 384"),
        ({"data.source": "files"}, "data.source is 'files' but data.train_file"),
        ({"data.train_file": "a.json"}, "data.source is 'hub'"),
        ({"data.source": "tape"}, "data.source is 'tape'"),
        ({"data.source": "generator", "data.train_size": None}, "data.train_size"),
        ({"training.max_grad_norm": 0}, "training.max_grad_norm is 0"),
        ({"training.lr_warmup_ratio": 1.0}, "training.lr_warmup_ratio is 1.0"),
        ({"profile.active_steps": 0}, "profile schedule"),
        ({"seeds": 0}, "seeds is 0"),
        ({"device": "tpu"}, "device is 'tpu'"),
    ],
)
def test_wrong_values_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        override(preset("seed"), changes)


def test_other_sizes_need_random_weights():
    with pytest.raises(ConfigError, match=r"model\.overrides.*model\.weights"):
        ModelConfig(overrides={"dim": 8})


def test_files_come_in_pairs():
    with pytest.raises(ConfigError, match="validation_file"):
        DataConfig(source="files", train_file="train.json")


def test_whole_numbers_pass_for_decimals():
    assert override(preset("seed"), {"training.learning_rate": 1}).training.learning_rate == 1.0


def test_flatten_keeps_model_overrides_as_a_table():
    nested = {"seeds": 2, "training": {"epochs": 1}, "model": {"overrides": {"dim": 8}}}
    assert flatten(nested) == {"seeds": 2, "training.epochs": 1, "model.overrides": {"dim": 8}}
