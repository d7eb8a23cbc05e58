"""Checks that need a CUDA device; without one each is skipped, saying so. Only the kit's own tests run without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.config import override, preset
from harness.strategy import TrainSetup
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
    """Put what compiles last: it takes longest, so that a time limit cuts off that first."""
    places = [place for place, item in enumerate(items) if item.path.parent == HERE]
    ordered = sorted((items[place] for place in places), key=lambda item: "compile" in item.name)
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
    return setup_factory(cuda)


@pytest.fixture
def make_device_setup(device: torch.device) -> Callable[..., TrainSetup]:
    """Return a factory of baseline setups on the device, whichever it is."""
    return setup_factory(device)


def setup_factory(device: torch.device) -> Callable[..., TrainSetup]:
    """Return a factory of baseline setups on `device`."""

    def make(source: str = "distilbert-base-uncased", *, dropout: bool = True, **training: Any) -> TrainSetup:
        sizes = SIZES[source] if dropout else SIZES[source] | NO_DROPOUT[source]
        config = override(preset("smoke"), {"model.source": source, "model.overrides": sizes})
        model = load_model(config.model, seed=0, device=device)
        setup = build_baseline(config, model=model, pad_id=0, seed=0, device=device)
        set_process_flags(setup)
        return replace(setup, training=replace(setup.training, **training))

    return make
