"""Command-line options and TOML files to a configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.cli.settings import build_config
from harness.errors import ConfigError


def build(preset_name=None, file=None, contenders=None, **options):
    dotted = {name.replace("__", "."): value for name, value in options.items()}
    return build_config(preset_name=preset_name, file=file, options=dotted, contenders=contenders)


def test_without_anything_it_is_the_embedded_preset():
    assert build().preset == "quick"


def test_own_data_start_from_the_reference_recipe():
    config = build(data__train_file="t.json", data__validation_file="v.json")
    assert (config.preset, config.data.source, config.data.max_length) == ("seed", "files", 384)


def test_bundled_encoder_brings_its_learning_rate():
    config = build(model__source="bundled")
    assert (config.training.learning_rate, config.training.lr_warmup_ratio) == (2e-4, 0.1)
    assert build(model__source="bundled", training__learning_rate=1e-5).training.learning_rate == 1e-5


def test_the_widened_encoder_brings_its_own():
    config = build(model__source="bundled-distilbert")
    assert config.preset == "seed"
    assert (config.training.learning_rate, config.training.lr_warmup_ratio) == (1e-4, 0.1)
    assert build(model__source="bundled-distilbert", training__learning_rate=1e-5).training.learning_rate == 1e-5


def test_seed_offline_is_the_reference_experiment_on_the_users_files():
    files = {"data__train_file": "t.json", "data__validation_file": "v.json"}
    offline, seed = build(preset_name="seed-offline", **files), build(preset_name="seed", **files)
    assert (seed.data.quality_size, offline.data.quality_size) == (10_570, 1_000)
    assert (replace(offline.data, quality_size=None), "files") == (
        replace(seed.data, quality_size=None),
        offline.data.source,
    )
    assert (offline.data.train_size, offline.data.validation_size, offline.data.max_length) == (1000, 250, 384)
    assert (offline.training.epochs, offline.training.batch_size) == (5, 16)
    assert offline.model.source == "bundled-distilbert"
    recipe = build(model__source="bundled-distilbert", **files).training
    assert offline.training == recipe


def test_seed_offline_asks_for_files():
    with pytest.raises(ConfigError, match=r"seed-offline needs questions.*--train-file and --validation-file"):
        build(preset_name="seed-offline")
    assert build(preset_name="seed-offline", data__source="generator").data.source == "generator"


def test_more_validation_questions_than_the_presets_quality_set_has_are_that_set():
    assert build(preset_name="quick", data__validation_size=500).data.quality_size is None
    assert build(preset_name="quick", data__validation_size=100).data.quality_size == 256
    assert build(preset_name="quick", data__validation_size=500, data__quality_size=600).data.quality_size == 600
    with pytest.raises(ConfigError, match="quality_size is 400"):
        build(preset_name="quick", data__validation_size=500, data__quality_size=400)


def test_a_preset_that_is_named_takes_the_label_of_the_files_too(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('preset = "seed"\nseeds = 3\n')
    config = build(file=file, preset_name="smoke")
    assert (config.preset, config.seeds) == ("smoke", 3)


def test_naming_a_model_lets_go_of_the_sizes_of_the_preset():
    config = build(preset_name="smoke", model__source="bert-base-uncased")
    assert config.model.overrides == {}


def test_baseline_among_the_contenders_is_not_named_twice():
    assert build(contenders=["baseline", "sdpa"]).contenders == ("sdpa",)


def test_options_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('preset = "smoke"\nseeds = 3\n[training]\nepochs = 7\nbatch_size = 2\n')
    config = build(file=file, training__epochs=1)
    assert (config.preset, config.seeds, config.training.epochs, config.training.batch_size) == ("smoke", 3, 1, 2)


def test_margins_of_single_metrics_come_from_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[quality.margins]\nem = 2\n")
    config = build(file=file, preset_name="smoke", quality__margin=3.0)
    assert (config.quality.margin_of("em"), config.quality.margin_of("f1")) == (2.0, 3.0)


def test_broken_toml_names_file_and_place(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("seeds = = 3\n")
    with pytest.raises(ConfigError, match=r"run\.toml is not valid TOML.*line 1"):
        build(file=file)


def test_missing_toml_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="can't be read"):
        build(file=tmp_path / "none.toml")


def test_a_run_that_goes_on_keeps_what_is_not_given():
    begun = build(preset_name="smoke", seeds=2, speed__budget_s=7.0, contenders=["sdpa"])
    dotted = {"seeds": 3, "speed.budget_s": None}
    extended = build_config(preset_name=None, file=None, options=dotted, contenders=None, begun=begun)
    assert (extended.seeds, extended.speed.budget_s, extended.contenders) == (3, 7.0, ("sdpa",))
    assert extended.preset == "smoke"
    fresh = build_config(preset_name="quick", file=None, options=dotted, contenders=None, begun=begun)
    assert (fresh.preset, fresh.seeds) == ("quick", 3), "a preset that is named counts"
