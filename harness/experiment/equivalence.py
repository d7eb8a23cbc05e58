"""Some updates, dropout off, and what they did to every tensor."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from harness.config import RunConfig
from harness.data.windows import Windows
from harness.strategy import Batch, StepOutcome, Strategy, TrainSetup
from harness.tasks.task import Head
from harness.training.baseline import build_baseline, forward_dtype
from harness.training.loop import Trainer, count_steps, make_trainer, prepare_step, set_process_flags
from harness.training.model import load_model

CHECKED_UPDATES = 3
"""An honest first update proves little of the second."""

CHECKED_WINDOWS = 8
"""Windows of each batch: the longest, so that what cuts them short shows, and as many of the shortest, so that what
treats padding in another way shows."""

MOST_PASSES = 24
"""Passes over the checked batches in which a gradient scaler may look for its scale. Each skipped update halves it, and
a job's begins at 2^16."""


@dataclass(frozen=True, kw_only=True)
class Updates:
    """What a few updates did."""

    losses: list[float]
    gradient_norms: list[float]
    gradients: dict[str, Tensor]
    """Of the first update, as the loop left them, float32 on the host; tensors without one are missing."""
    updates: dict[str, Tensor]
    """Parameters after the last update minus before the first, of those that require gradients."""
    dtype: str
    windows: int
    dropout_losses: list[float] = field(default_factory=list)
    """Of one window with dropout on, drawn again and again; see `harness.experiment.dropout`."""
    skipped: int = 0
    """Updates that a gradient scaler left out to the last."""


def checked_batches(windows: Windows) -> list[np.ndarray]:
    """Return the window numbers of each batch, the most extreme lengths first. Few windows come again."""
    longest = np.argsort(-windows.lengths, kind="stable")
    half = max(1, min(CHECKED_WINDOWS, len(longest)) // 2)
    places = [range(i * half, (i + 1) * half) for i in range(CHECKED_UPDATES)]
    return [
        np.concatenate([np.take(order, place, mode="wrap") for order in (longest, longest[::-1])]) for place in places
    ]


def make_checked_setup(
    config: RunConfig,
    strategies: list[Strategy],
    windows: Windows,
    *,
    head: Head,
    pad_id: int,
    device: torch.device,
    dropout: bool = False,
) -> TrainSetup:
    """Return a setup on a fresh model with the strategies applied; none gives the fp32 reference.

    Dropout is off unless asked for. The batch size is that of the checked batches: some loops (transformers.Trainer's)
    make their batches themselves.
    """
    model = load_model(config.model, head=head, seed=0, device=device)
    if not dropout:
        switch_dropout_off(model)
    setup = build_baseline(config, model=model, pad_id=pad_id, seed=0, device=device)
    setup = replace(setup, training=replace(setup.training, batch_size=len(checked_batches(windows)[0])))
    for strategy in strategies:
        setup = strategy.apply(setup)
    set_process_flags(setup)
    return setup


def switch_dropout_off(model: nn.Module) -> None:
    """Set every dropout probability to 0, in the modules and in the configuration that attention functions read."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout_prob", None), float):
            module.dropout_prob = 0.0  # type: ignore[assignment]
    config: Any = getattr(model, "config", None)
    for name, value in vars(config).items() if config is not None else ():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, 0.0)


class UpdateRecorder:
    """A `StepRecorder` that keeps every outcome, and the gradients of the first step."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self.outcomes: list[StepOutcome] = []
        self.gradients: dict[str, Tensor] = {}
        """Empty if the loop clears them before it says that the step is over, as transformers.Trainer's does."""

    def begin(self, batch: Batch) -> None:
        """Nothing to note: what was really trained on shows in the outcome."""

    def end(self, outcome: StepOutcome) -> None:
        """Keep what the step did."""
        if not self.outcomes:
            parameters = self._model.named_parameters()
            self.gradients = {name: _on_host(p.grad) for name, p in parameters if p.grad is not None}
        self.outcomes.append(outcome)

    @property
    def skipped(self) -> int:
        """Steps whose gradients were no finite numbers: a gradient scaler makes no update of them."""
        return sum(not math.isfinite(float(outcome.gradient_norm)) for outcome in self.outcomes)


def make_updates(setup: TrainSetup, windows: Windows) -> Updates:
    """Train on some of the longest and shortest windows, as a job does, and return what that did.

    The setup's own loader and loop are a part of it: batches could be changed in either.
    """
    batches = checked_batches(windows)
    # A long schedule, so that the learning rate is the job's first; the job's own length where the strategy knows it.
    trainer = make_trainer(setup, windows, total_steps=max(count_steps(setup, windows), 2 * len(batches)))
    prepare_step(trainer, batches, repeated=True)
    start = _remember(trainer)
    recorder = UpdateRecorder(setup.model)
    setup.run_epoch(setup, trainer.step, windows, batches, recorder)
    for _ in range(MOST_PASSES - 1 if may_skip_updates(setup) else 0):
        if not recorder.skipped:
            break
        _go_back(trainer, start)
        recorder = UpdateRecorder(setup.model)
        setup.run_epoch(setup, trainer.step, windows, batches, recorder)
    parameters = dict(setup.model.named_parameters())
    return Updates(
        losses=[float(outcome.loss) for outcome in recorder.outcomes],
        gradient_norms=[float(outcome.gradient_norm) for outcome in recorder.outcomes],
        gradients=recorder.gradients,
        updates={name: _on_host(parameters[name].detach() - value) for name, value in start.parameters.items()},
        dtype=forward_dtype(setup),
        windows=sum(len(numbers) for numbers in batches),
        skipped=recorder.skipped if may_skip_updates(setup) else 0,
    )


def may_skip_updates(setup: TrainSetup) -> bool:
    """Whether steps may leave out an update whose gradients overflow, and try the next at a smaller scale."""
    return setup.gradient_scaling or forward_dtype(setup) == "float16"


@dataclass(frozen=True, kw_only=True)
class _Start:
    """A trainer's state before its first step, but for what its step function keeps to itself."""

    parameters: dict[str, Tensor]
    """Those that require gradients."""
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]


def _remember(trainer: Trainer) -> _Start:
    parameters = trainer.setup.model.named_parameters()
    return _Start(
        parameters={name: p.detach().clone() for name, p in parameters if p.requires_grad},
        optimizer=copy.deepcopy(trainer.optimizer.state_dict()),
        scheduler=copy.deepcopy(trainer.scheduler.state_dict()),
    )


def _go_back(trainer: Trainer, start: _Start) -> None:
    """Put all back but the gradient scaler's scale, which only the step function knows: it is what was looked for."""
    parameters = dict(trainer.setup.model.named_parameters())
    with torch.no_grad():
        for name, value in start.parameters.items():
            parameters[name].copy_(value)
    trainer.optimizer.load_state_dict(copy.deepcopy(start.optimizer))
    trainer.scheduler.load_state_dict(copy.deepcopy(start.scheduler))


def _on_host(tensor: Tensor) -> Tensor:
    # A copy: some steps write into the same gradients again.
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


FACTS = ("losses", "gradient_norms", "dtype", "windows", "dropout_losses", "skipped")
"""Fields of `Updates` that are no tensors."""


def save_updates(made: Updates, path: Path) -> None:
    """Write them as one safetensors file, whole or not at all: the process may be ended meanwhile."""
    tensors = {f"gradient:{name}": value for name, value in made.gradients.items()}
    tensors |= {f"update:{name}": value for name, value in made.updates.items()}
    facts = {name: getattr(made, name) for name in FACTS}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    save_file(tensors, unfinished, metadata={"facts": json.dumps(facts)})
    unfinished.replace(path)


def load_updates(path: Path) -> Updates:
    """Read what `save_updates` wrote."""
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    return Updates(
        gradients={key.removeprefix("gradient:"): t for key, t in tensors.items() if key.startswith("gradient:")},
        updates={key.removeprefix("update:"): t for key, t in tensors.items() if key.startswith("update:")},
        **facts,
    )
