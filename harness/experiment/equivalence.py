"""Some updates, dropout off, and what they did to every tensor; and does dropout do what the baseline's does?"""

from __future__ import annotations

import copy
import math
import sys
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from harness.config import RunConfig
from harness.data.windows import Windows
from harness.experiment.deviation import MOST_PASSES, Updates
from harness.experiment.inputs import Inputs
from harness.strategy import Batch, StepOutcome, Strategy, TrainSetup
from harness.training.baseline import build_baseline, forward_dtype
from harness.training.loop import count_steps, make_trainer, prepare_step, set_process_flags
from harness.training.model import load_model

CHECKED_UPDATES = 3
"""An honest first update proves little of the second."""

CHECKED_WINDOWS = 8
"""Windows of each batch: the longest, so that what cuts them short shows, and as many of the shortest, so that what
treats padding in another way shows."""

DRAWS = 24
"""Losses that the scatter is taken of. Two such standard deviations of the same dropout are within a factor of 1.5 of
each other 19 times in 20 (F test with 23 degrees of freedom each)."""

COMPILER = "torch._dynamo"
"""Module that `torch.compile` imports when it is first called."""


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
    inputs: Inputs,
    device: torch.device,
    *,
    dropout: bool | Literal["attention"] = False,
) -> TrainSetup:
    """Return a setup on a fresh model with the strategies applied; none gives the fp32 reference.

    Dropout is off unless asked for, everywhere or on attention's weights alone. The batch size is that of the checked
    batches: some loops (transformers.Trainer's) make their batches themselves.
    """
    model = load_model(config.model, head=inputs.head, seed=0, device=device)
    if dropout is not True:
        switch_dropout_off(model, but_attention=dropout == "attention")
    setup = build_baseline(config, model=model, pad_id=inputs.tokenizer.pad_id, seed=0, device=device)
    batch_size = len(checked_batches(inputs.train_windows)[0])
    setup = replace(setup, training=replace(setup.training, batch_size=batch_size))
    for strategy in strategies:
        setup = strategy.apply(setup)
    set_process_flags(setup)
    return setup


def switch_dropout_off(model: nn.Module, *, but_attention: bool = False) -> None:
    """Set every dropout probability to 0, in the modules and in the configuration that attention functions read.

    `but_attention` leaves that of attention's weights, told by its name: BERT's attention has an output with another.
    """
    for path, module in model.named_modules():
        if but_attention and "attention" in path and "output" not in path:
            continue
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout_prob", None), float):
            module.dropout_prob = 0.0
    config: Any = getattr(model, "config", None)
    for name, value in vars(config).items() if config is not None else ():
        if "dropout" in name and isinstance(value, float) and not (but_attention and "attention" in name):
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
    start = {name: p.detach().clone() for name, p in setup.model.named_parameters() if p.requires_grad}
    states = [(part, copy.deepcopy(part.state_dict())) for part in (trainer.optimizer, trainer.scheduler)]
    # Steps may leave out an update whose gradients overflow, and try the next at a smaller scale.
    may_skip = setup.gradient_scaling or forward_dtype(setup) == "float16"
    for attempt in range(MOST_PASSES if may_skip else 1):
        parameters = dict(setup.model.named_parameters())
        if attempt > 0:
            # All goes back but the scaler's scale, which only the step function knows: it is what is looked for.
            with torch.no_grad():
                for name, value in start.items():
                    parameters[name].copy_(value)
            for part, state in states:
                part.load_state_dict(copy.deepcopy(state))
        recorder = UpdateRecorder(setup.model)
        setup.run_epoch(setup, trainer.step, windows, batches, recorder)
        if not recorder.skipped:
            break
    parameters = dict(setup.model.named_parameters())
    return Updates(
        losses=[float(outcome.loss) for outcome in recorder.outcomes],
        gradient_norms=[float(outcome.gradient_norm) for outcome in recorder.outcomes],
        gradients=recorder.gradients,
        updates={name: _on_host(parameters[name].detach() - value) for name, value in start.items()},
        dtype=forward_dtype(setup),
        windows=sum(len(numbers) for numbers in batches),
        skipped=recorder.skipped if may_skip else 0,
    )


def _on_host(tensor: Tensor) -> Tensor:
    # A copy: some steps write into the same gradients again.
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def draw_losses(setup: TrainSetup, windows: Windows) -> list[float]:
    """Return the loss of the longest window, `DRAWS` times without an update between them: dropout makes it scatter.

    What is compiled runs uncompiled: the question is what became of the model's dropout, and the graph with dropout for
    one window would have to be compiled for this alone (14 s of a run of 6 minutes).
    """
    numbers = np.array([windows.lengths.argmax()])
    batch = setup.collate(windows, numbers).to(setup.device)
    torch.manual_seed(0)
    losses = []
    # Where the compiler was never imported nothing is compiled, and asking it for a stance would import it (1.3 s).
    with torch.compiler.set_stance("force_eager") if COMPILER in sys.modules else nullcontext():
        for _ in range(DRAWS):
            with setup.autocast():
                losses.append(setup.forward_loss(setup.model, batch).detach())
    return [float(loss) for loss in losses]
