"""Checks that need a CUDA device; without one each is skipped, saying so. Only the kit's own tests run without."""

from __future__ import annotations

import importlib
import os
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.presets import preset
from harness.records.serialise import override
from harness.strategy import TrainSetup
from harness.tasks.question_answering.task import TASK
from harness.training.baseline import build_baseline
from harness.training.loop import set_process_flags
from harness.training.model import load_model

HERE = Path(__file__).parent

SIZES: dict[str, dict[str, Any]] = {
    "distilbert-base-uncased": {"vocab_size": 2048, "dim": 128, "hidden_dim": 256, "n_layers": 2, "n_heads": 2},
    "bert-base-uncased": {
        "vocab_size": 2048,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
}
"""Heads of 64, as the real models have: attention kernels choose by it."""

NO_DROPOUT = {
    "distilbert-base-uncased": {"dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0},
    "bert-base-uncased": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put stacks first, as they are what is timed, and what compiles last: a time limit cuts off that first."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    ordered = sorted(
        (items[place] for place in places), key=lambda item: ("compile" in item.name, "+" not in item.name)
    )
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.fixture
def cuda() -> torch.device:
    """Return the CUDA device, or skip."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def device() -> torch.device:
    """Return the CUDA device, or the processor where there is none: for checks of which a part runs there too."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


@pytest.fixture
def make_cuda_setup(cuda: torch.device) -> Callable[..., TrainSetup]:
    """Return a factory of baseline setups on the CUDA device."""
    return partial(make_setup_on, cuda)


@pytest.fixture
def make_host_setup() -> Callable[..., TrainSetup]:
    """Return the same factory for the processor, for tests of the checks themselves."""
    return partial(make_setup_on, torch.device("cpu"))


@pytest.fixture
def make_device_setup(device: torch.device) -> Callable[..., TrainSetup]:
    """Return the same factory for the device, whichever it is."""
    return partial(make_setup_on, device)


def make_setup_on(
    device: torch.device,
    source: str = "distilbert-base-uncased",
    *,
    dropout: bool = True,
    attentive: bool = False,
    **training: Any,
) -> TrainSetup:
    """Return a baseline setup; `attentive` makes its untrained model depend on what attention does."""
    sizes = SIZES[source] if dropout else SIZES[source] | NO_DROPOUT[source]
    config = override(preset("smoke"), {"model.source": source, "model.overrides": sizes})
    model = load_model(config.model, head=TASK.head(), seed=0, device=device)
    if attentive:
        make_attention_matter(model)
    setup = build_baseline(config, model=model, pad_id=0, seed=0, device=device)
    set_process_flags(setup)
    return replace(setup, training=replace(setup.training, **training))


def make_attention_matter(model: torch.nn.Module) -> None:
    """Enlarge an untrained model's matrices: as drawn, attention is nearly even over all tokens and adds little,
    so that a wrong scale, or windows that see each other, move the gradient by a thousandth.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embeddings" not in name:
                parameter.mul_(4.0)


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a module of the kit, which are scripts and no package."""
    monkeypatch.syspath_prepend(str(HERE))
    yield importlib.import_module
    for path in HERE.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def names_in():
    """A function that lists an archive."""

    def names_in(archive: Path) -> list[str]:
        with tarfile.open(archive) as tar:
            return tar.getnames()

    return names_in


@pytest.fixture
def write_files():
    """A function that writes files of random bytes."""

    def write_files(folder: Path, *names: str, size: int = 4) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))

    return write_files
