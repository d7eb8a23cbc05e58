"""From command-line options and TOML files to a `RunConfig`."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

from harness.config import BUNDLED_DISTILBERT, BUNDLED_DISTILBERT_LEARNING_RATE, BUNDLED_MODEL, RunConfig
from harness.errors import ConfigError
from harness.presets import preset
from harness.records.serialise import override
from harness.setting import all_settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_PRESET = "quick"
"""Runs anywhere."""

OWN_INPUT_PRESET = "seed"
"""Base of runs whose model or data the user chose."""

MODEL_RECIPES: dict[str, dict[str, float]] = {
    BUNDLED_MODEL: {"training.learning_rate": 2e-4, "training.lr_warmup_ratio": 0.1},
    BUNDLED_DISTILBERT: {"training.learning_rate": BUNDLED_DISTILBERT_LEARNING_RATE, "training.lr_warmup_ratio": 0.1},
}
"""By model source: the recipe that naming it implies. The bundled encoder learns question answering at 2e-4 with LR
warm-up (tried on 900 SQuAD questions: F1 47 after six epochs); at the 5e-5 that suits DistilBERT it hardly begins in
five epochs."""

TABLES = {name for name, kind, _ in all_settings(RunConfig) if typing.get_origin(kind) is dict}
"""Settings whose value is a table."""


def build_config(
    *,
    preset_name: str | None,
    file: Path | None,
    options: dict[str, Any],
    contenders: list[str] | None,
    begun: RunConfig | None = None,
) -> RunConfig:
    """Return the configuration: preset, then TOML file, then options, each over the one before.

    `options` maps dotted names to values; None means not given. Without a preset it is that of the run which goes on
    (`begun`); without one "quick", or "seed" as soon as the user names a model or data. Raises ConfigError.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        from_file = {} if file is None else flatten(tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}", remedy="check the path of --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}", remedy="correct that place") from None
    changes = from_file | given
    in_file = str(changes.pop("preset", ""))
    named = preset_name or in_file
    own_input = any(name.startswith(("model.source", "data.")) for name in changes)
    name = named or (OWN_INPUT_PRESET if own_input else DEFAULT_PRESET)
    config = begun if begun is not None and not named else preset(name)
    if contenders:
        changes["contenders"] = [contender for contender in contenders if contender != "baseline"]
    settings = override(config, _implied(config, changes) | changes)
    if named == "seed-offline" and settings.data.source == "hub" and "data.source" not in changes:
        raise ConfigError(
            "the preset seed-offline needs questions from files",
            remedy="give --train-file and --validation-file (SQuAD v1.1 JSON), or choose --data generator or hub",
        )
    return settings


def _implied(config: RunConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """What one option says about others that were not given."""
    implied: dict[str, Any] = {}
    if changes.get("data.train_file") or changes.get("data.validation_file"):
        implied["data.source"] = "files"
    if changes.get("data.source", "files") != "files" and config.data.source == "files":
        implied |= {"data.train_file": None, "data.validation_file": None}
    source = changes.get("model.source", config.model.source)
    if source != config.model.source:
        implied["model.overrides"] = {}
        implied |= MODEL_RECIPES.get(source, {})
    if config.model.overrides and changes.get("model.weights") == "pretrained":
        implied["model.overrides"] = {}
    validation, quality = changes.get("data.validation_size"), config.data.quality_size
    if validation is not None and quality is not None and validation > quality:
        # The preset's quality set is no larger any more than what is answered anyway.
        implied["data.quality_size"] = None
    return implied


def flatten(data: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested tables (of a TOML file, say) into dotted names; a table that is one setting stays one."""
    flat: dict[str, Any] = {}
    for key, value in data.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, dict) and dotted not in TABLES:
            flat |= flatten(value, prefix=f"{dotted}.")
        else:
            flat[dotted] = value
    return flat
