"""Peer: `transformers.Trainer` with the defaults of the question-answering example script.

What it changes: nothing is tuned, another program trains: Trainer's own loop, data loader, clipping, callbacks and
prediction loop, on the same windows in the same order, with the same model, seed, batch sizes, epochs and learning
rates. Its defaults differ from the baseline's: AdamW is fused and attention goes through SDPA. Padding to max_length is
the script's default too. Logging, saving and progress bars are off. Batches and loss come from the harness's functions,
so that they are the same for all.
Why it is faster: its defaults already hold two of the strategies (`fused_adamw`, `sdpa`). Measured on one processor
core (AVX2, fp32; DistilBERT sizes, 12 SQuAD windows of 384, batch 4; processor time, two ABBA blocks): 1.04 and 1.08
times the baseline's training rate, 1.05 times its evaluation rate.
When it is not: Trainer reads the loss after every step (`logging_nan_inf_filter`), which makes the host wait for a GPU;
on processors SDPA with attention dropout is slower than eager attention.
What it does to the numbers: the baseline's updates up to rounding; dropout draws other random numbers.
How it is run: `train()` once per epoch, on one Trainer that keeps optimizer and schedule. The first call of a process
frees memory (a full garbage collection, 0.2 s); a job would do that once, so later calls leave it out. What else a call
adds to an epoch is 2 ms (both on a tiny model), so timed segments and jobs are alike.
Sources: transformers 5 `Trainer`, `TrainingArguments`, examples/pytorch/question-answering/run_qa.py; accelerate.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from harness.registry import register
from harness.strategy import (
    Batch,
    Effect,
    Logits,
    Stage,
    StepFunction,
    StepOutcome,
    StepRecorder,
    Strategy,
    TrainSetup,
    Windows,
)
from optimizations.fused_adamw import make_fused_adamw
from optimizations.sdpa import Sdpa


def make_trainer(**arguments: Any) -> Any:
    """Return a `transformers.Trainer` that tells a `StepRecorder` of its steps; importing it takes seconds."""
    from transformers import PrinterCallback, Trainer, TrainerCallback

    class RecordingTrainer(Trainer):  # type: ignore[misc]
        """Notes what a step's record needs; the computation is Trainer's."""

        recorder: StepRecorder
        forward_loss: Callable[[nn.Module, Batch], Tensor]
        loaded: deque[Batch]
        """Batches that the loader has made and no step has taken yet, on the host."""
        gradients: list[Tensor | None] | None = None
        """Of a single step; a list here makes the callback fill it."""

        def training_step(self, *arguments: Any, **named: Any) -> Tensor:
            self.recorder.begin(self.loaded[0])
            loss: Tensor = super().training_step(*arguments, **named)
            self.loss = loss
            return loss

        def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
            batch = self.loaded.popleft()
            labels = {name: inputs.pop(name) for name in batch.labels}
            return self.forward_loss(model, replace(batch, inputs=inputs, labels=labels))

        def _clip_grad_norm(self, model: nn.Module) -> Any:
            self.gradient_norm = super()._clip_grad_norm(model)
            return self.gradient_norm

    class RecordingCallback(TrainerCallback):  # type: ignore[misc]
        """Hears when a step's update is done."""

        def __init__(self, trainer: RecordingTrainer) -> None:
            self._trainer = trainer

        def on_optimizer_step(self, *_: Any, **__: Any) -> None:
            if self._trainer.gradients is not None:
                self._trainer.gradients = [parameter.grad for parameter in self._trainer.model.parameters()]

        def on_step_end(self, *_: Any, **__: Any) -> None:
            outcome = StepOutcome(loss=self._trainer.loss, gradient_norm=self._trainer.gradient_norm)
            self._trainer.recorder.end(outcome)

    trainer = RecordingTrainer(**arguments)
    trainer.add_callback(RecordingCallback(trainer))
    trainer.remove_callback(PrinterCallback)
    return trainer


class TrainerStep:
    """One `transformers.Trainer` with its optimizer and schedule. Called with a batch it makes one update."""

    def __init__(
        self, setup: TrainSetup, extra: dict[str, Any], optimizers: tuple[Optimizer | None, LRScheduler | None]
    ) -> None:
        from transformers import TrainingArguments

        on_cuda = setup.device.type == "cuda"
        # The library's defaults, but for the recipe, what is switched off, and `extra`.
        arguments = TrainingArguments(
            output_dir=tempfile.gettempdir(),  # Trainer wants one that exists; nothing is written
            num_train_epochs=1,
            per_device_train_batch_size=setup.training.batch_size,
            per_device_eval_batch_size=setup.training.eval_batch_size,
            max_grad_norm=setup.training.max_grad_norm,
            seed=setup.seed,
            train_sampling_strategy="sequential",  # the data set comes in the planned order
            remove_unused_columns=False,
            use_cpu=not on_cuda,
            dataloader_pin_memory=on_cuda,
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            **extra,
        )
        if arguments.device.type == "cuda":
            arguments._n_gpu = 1  # with more GPUs in sight Trainer would spread the batch over all
        self.trainer = make_trainer(model=setup.model, args=arguments, optimizers=optimizers)
        self.trainer.forward_loss = setup.forward_loss

    def __call__(self, batch: Batch) -> StepOutcome:
        """Train on one batch; the gradients stay, as after a step of the baseline."""
        outcomes: list[StepOutcome] = []
        recorder: Any = SimpleNamespace(begin=lambda _: None, end=outcomes.append)
        self.trainer.gradients = []
        self.train([0], lambda _: batch, recorder)
        for parameter, gradient in zip(self.trainer.model.parameters(), self.trainer.gradients, strict=True):
            parameter.grad = gradient
        self.trainer.gradients = None
        if not outcomes:
            raise RuntimeError("transformers.Trainer made no step")
        return outcomes[-1]

    def train(self, items: list[int], collate: Callable[[list[int]], Batch], recorder: StepRecorder) -> None:
        """Go once through `items`, in order; `collate` makes a batch of as many as the batch size says."""
        trainer = self.trainer
        trainer.recorder, trainer.loaded = recorder, deque()

        def load(numbers: list[int]) -> dict[str, Any]:
            batch = collate(numbers)
            trainer.loaded.append(batch)
            return batch.tensors()

        trainer.train_dataset, trainer.data_collator = items, load
        trainer.train()
        # Once is what a job of one call would do; the call's own lists must still be emptied.
        trainer.accelerator.free_memory = trainer.accelerator._dataloaders.clear


class TrainerPeer:
    """`transformers.Trainer` behind the extension points of a setup: step, epoch and evaluation."""

    def __init__(self, *, extra: dict[str, Any] | None = None, sort_evaluation: bool = False) -> None:
        self._extra = extra or {}
        self._sort_evaluation = sort_evaluation
        self._step: TrainerStep | None = None

    def install(self, setup: TrainSetup) -> TrainSetup:
        """Return the setup with Trainer's loops and defaults in place of the harness's."""
        if Sdpa().not_applicable(setup) is None:  # transformers chooses it by itself where a model has it
            setup = Sdpa().apply(setup)
        changed = replace(
            setup,
            make_optimizer=make_fused_adamw,
            make_step=self.make_step,
            run_epoch=self.run_epoch,
            evaluate=self.evaluate,
        )
        of_trainer = "transformers.Trainer's"
        return changed.with_knobs({"loop": "transformers.Trainer", "loader": of_trainer, "clipping": of_trainer})

    def make_step(self, setup: TrainSetup, optimizer: Optimizer, scheduler: LRScheduler) -> StepFunction:
        """Return a Trainer that makes single updates, and whole epochs for `run_epoch`."""
        self._step = TrainerStep(setup, self._extra, (optimizer, scheduler))
        return self._step

    def run_epoch(
        self,
        setup: TrainSetup,
        step: StepFunction,
        windows: Windows,
        plan: list[np.ndarray],
        recorder: StepRecorder,
    ) -> None:
        """Train on the planned batches in one call of `train`; RuntimeError if Trainer makes other batches."""
        if not isinstance(step, TrainerStep):
            raise TypeError(f"the step is a {type(step).__name__}, not one of transformers.Trainer")
        planned = iter(plan)

        def collate(numbers: list[int]) -> Batch:
            wanted = next(planned)
            if numbers != wanted.tolist():
                raise RuntimeError(f"transformers.Trainer made the batch {numbers}, planned was {wanted.tolist()}")
            return setup.collate(windows, wanted)

        step.train(np.concatenate(plan).tolist(), collate, recorder)

    def evaluate(self, setup: TrainSetup, windows: Windows) -> Logits:
        """Return the logits of Trainer's prediction loop, in the order of the windows."""
        step = self._step
        if step is None or step.trainer.model is not setup.model:
            step = TrainerStep(setup, self._extra, (None, None))
        order = np.argsort(windows.lengths, kind="stable") if self._sort_evaluation else np.arange(len(windows))
        trainer, was_training = step.trainer, setup.model.training
        trainer.data_collator = lambda numbers: dict(setup.collate(windows, np.asarray(numbers)).inputs)
        try:
            outputs = trainer.predict(order.tolist()).predictions
        finally:
            setup.model.train(was_training)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        back = np.argsort(order)
        # A model may be set to give hidden states after them.
        return tuple(values[back] for values in outputs[: len(setup.task.logits)])


@register
class HfTrainer(Strategy):
    """The example script's defaults."""

    name = "hf_trainer"
    summary = "transformers.Trainer with the example script's defaults"
    effect = Effect.SAME_MATH
    stage = Stage.OPTIMIZER
    is_peer = True

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Trainer needs accelerate."""
        if find_spec("accelerate") is None:
            return "transformers.Trainer needs the package accelerate: pip install 'speedproof[peers]'"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Put Trainer in place of the loop."""
        return TrainerPeer().install(setup)
