"""The strategy contract, and `TrainSetup`: everything of a training that a strategy may change."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from harness.config import TrainingConfig
from harness.data.batching import Batch
from harness.data.packing import (
    NO_LABEL,
    is_packed,
    make_packing_collate,
    make_trimming_collate,
    row_slots,
    select_windows,
    unpack,
)
from harness.data.windows import Windows
from harness.records.files import default_cache_directory
from harness.records.strategy import DEVICES
from harness.tasks.task import Head, Logits, Task

__all__ = [
    "NO_LABEL",
    "Batch",
    "Effect",
    "LoadModel",
    "Logits",
    "ModelFiles",
    "PreparedStep",
    "Stage",
    "StartUp",
    "StepFunction",
    "StepOutcome",
    "StepRecorder",
    "Strategy",
    "TrainSetup",
    "Windows",
    "default_cache_directory",
    "is_packed",
    "make_packing_collate",
    "make_trimming_collate",
    "row_slots",
    "select_windows",
    "unpack",
]


class Effect(enum.Enum):
    """What a strategy does to the numbers; decides how its quality is judged."""

    SAME_MATH = "same math"
    """The same update up to rounding of the same precision."""
    LOWER_PRECISION = "lower precision"
    """The same update up to rounding that is no coarser than bfloat16's; what is coarser is another model."""
    NEW_SCHEDULE = "new schedule"
    """Other updates: batch size, learning rate, order."""
    NEW_MODEL = "new model"


class Stage(enum.IntEnum):
    """When a strategy of a stack is applied: lower first."""

    START = 0
    DATA = 1
    MODEL = 2
    PRECISION = 3
    OPTIMIZER = 4
    COMPILE = 5
    GRAPH = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """What one step gives back, still on the device: reading it would synchronise."""

    loss: Tensor
    """Mean loss of the batch, a scalar."""
    gradient_norm: Tensor
    """L2 norm before clipping, a scalar."""


class StepRecorder(Protocol):
    """Is told of every step of an epoch; its notes become the steps' records."""

    def begin(self, batch: Batch) -> None:
        """A step on `batch` begins."""

    def end(self, outcome: StepOutcome) -> None:
        """The step is over, its update applied."""


StepFunction = Callable[[Batch], StepOutcome]


@runtime_checkable
class PreparedStep(Protocol):
    """A step function with one-time work of its own for batch shapes, which is asked for before any clock starts."""

    def __call__(self, batch: Batch) -> StepOutcome:
        """Take a step; one-time work that was not asked for is not done here."""

    def choose(self, windows: Windows, plan: list[np.ndarray], *, repeated: bool) -> list[np.ndarray]:
        """Return those of the planned batches that `prepare` wants to see, one for each shape that is worth it.

        `plan` holds the window numbers of every batch that there will be, or, with `repeated`, of some that come often.
        """

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Do what batches of these shapes need once; parameters, optimizer and random state are as before."""

    def describe(self) -> dict[str, str]:
        """Return what has been prepared so far, as the report prints it beside the setup's knobs."""


@dataclass(frozen=True, kw_only=True)
class TrainSetup:
    """A training, ready. Strategies return a changed copy (`dataclasses.replace`); the model itself changes in place.

    The functions are the extension points: each has a plain default in `harness.training` or `harness.data`.
    """

    task: Task[Any]
    model: nn.Module
    """On `device`, in training mode."""
    device: torch.device
    training: TrainingConfig
    max_length: int
    """Tokens of the longest window that there can be."""
    seed: int
    compiles: bool = False
    """Whether `torch.compile` works in warm-up."""
    compute_dtype: torch.dtype = torch.float32
    """Other than float32: forward passes run under autocast to it."""
    gradient_scaling: bool = False
    """Scale the loss so that fp16 gradients don't vanish; a step that overflows is skipped."""
    fp32_matmul: Literal["ieee", "tf32"] = "ieee"
    """How CUDA multiplies fp32 matrices."""
    collate: Callable[[Windows, np.ndarray], Batch]
    """(windows, window numbers) → one padded batch on the host."""
    plan_batches: Callable[[Windows, TrainingConfig, int, int], list[np.ndarray]]
    """(windows, training, seed, epoch) → window numbers of each batch, in order."""
    load_batches: Callable[[TrainSetup, Windows, list[np.ndarray]], Iterable[Batch]]
    """(setup, windows, plan) → batches on the host or the device."""
    forward_loss: Callable[[nn.Module, Batch], Tensor]
    make_optimizer: Callable[[nn.Module, TrainingConfig], Optimizer]
    make_scheduler: Callable[[Optimizer, TrainingConfig, int], LRScheduler]
    """(optimizer, training, total steps) → scheduler, stepped once per update."""
    clip_gradients: Callable[[list[nn.Parameter], float], Tensor]
    """(parameters, largest norm) → the gradients' L2 norm, which are then scaled down to the largest, in place."""
    make_step: Callable[[TrainSetup, Optimizer, LRScheduler], StepFunction]
    """Everything between a batch and the changed parameters."""
    run_epoch: Callable[[TrainSetup, StepFunction, Windows, list[np.ndarray], StepRecorder], None]
    """(setup, step, windows, plan, recorder): take a step on each planned batch; replaced by what has its own loop."""
    evaluate: Callable[[TrainSetup, Windows], Logits]
    """The forward passes of evaluation."""
    knobs: dict[str, str] = field(default_factory=dict)
    """Settings that can't be read off the fields, as the report prints them."""

    def with_knobs(self, knobs: dict[str, str]) -> TrainSetup:
        """Return the setup with more to print in the report, or other words for it."""
        return replace(self, knobs={**self.knobs, **knobs})

    def autocast(self, *, cache: bool = True) -> AbstractContextManager[None]:
        """Return the context that forward passes run in; `cache`: a weight is cast once in it."""
        lower = self.compute_dtype != torch.float32
        dtype = self.compute_dtype if lower else None
        return torch.autocast(self.device.type, dtype=dtype, enabled=lower, cache_enabled=cache)


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model before it is loaded."""

    config: dict[str, Any]
    """What its config.json says, overrides applied."""
    weights: Path | None
    """Its one safetensors file; None for random weights."""
    head: Head


LoadModel = Callable[[ModelFiles, int, torch.device], nn.Module | None]
"""(files, seed, device) → the model there, its head (or all of it) drawn from the seed as transformers does; or
None if it is not of a kind that can be loaded so."""


@dataclass(frozen=True, kw_only=True)
class StartUp:
    """How a trial gets ready and scores its answers. Read before anything is loaded, so it can't depend on a setup."""

    read_data_beside_model: bool = False
    """Read the questions in a thread of their own while the model is loaded (not from the hub)."""
    score_without_evaluate: bool = False
    """Score by the metric's own functions, so that `evaluate` and `datasets` need not be imported; the same numbers."""
    tokens_without_tokenizer: bool = False
    """Take tokenised windows from the cache without loading the tokenizer; it is loaded if they aren't there."""
    cuda_beside_imports: bool = False
    """Have the driver make the CUDA context while the process still imports."""
    without_meta_kernels: bool = False
    """Import PyTorch without its meta kernels, until the job is over or the compiler is imported."""
    loaders: tuple[LoadModel, ...] = ()
    """Asked in turn to load the model, before transformers is."""

    def joined(self, other: StartUp) -> StartUp:
        """Return what either of two strategies asks for."""
        return StartUp(
            read_data_beside_model=self.read_data_beside_model or other.read_data_beside_model,
            score_without_evaluate=self.score_without_evaluate or other.score_without_evaluate,
            tokens_without_tokenizer=self.tokens_without_tokenizer or other.tokens_without_tokenizer,
            cuda_beside_imports=self.cuda_beside_imports or other.cuda_beside_imports,
            without_meta_kernels=self.without_meta_kernels or other.without_meta_kernels,
            loaders=self.loaders + other.loaders,
        )


class Strategy(ABC):
    """One way to make the training faster. A subclass is one file in `optimizations/`, registered with `@register`.

    Its module docstring is its card: what it changes, why it is faster, when it is not, what it does to the numbers,
    sources.
    """

    name: ClassVar[str]
    """As on the command line; the same as the file's name."""
    summary: ClassVar[str]
    """One line for tables."""
    effect: ClassVar[Effect]
    stage: ClassVar[Stage]
    addresses: ClassVar[tuple[str, ...]] = ()
    """Bottlenecks (`harness.records.strategy.BOTTLENECKS`) for which it is advised, whether it was run or not."""
    devices: ClassVar[tuple[str, ...]] = DEVICES
    """Kinds of device on which it works and is advised."""
    elsewhere: ClassVar[str] = "it is written for other devices"
    """Why not on any other device, in words."""
    conflicts: ClassVar[tuple[str, ...]] = ()
    """Strategies that can't be in one stack with this one; it is enough that one of two names the other."""
    phases: ClassVar[tuple[str, ...]] = ()
    """Phases of `harness.records.strategy.HARNESS_PHASES` that it changes: they count with its own time, as does what
    grew elsewhere; all others with the baseline's."""
    start_up: ClassVar[StartUp] = StartUp()
    """What it changes before there is a setup."""
    is_peer: ClassVar[bool] = False
    """Another program doing the whole job, to compare with: never in a stack, never recommended."""

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Return in words why the strategy can't work on `setup`, or None if it can.

        Here for its device alone: who has more to refuse asks `super()` too.
        """
        kind = setup.device.type
        return None if kind in self.devices else f"{self.elsewhere}; this device is {kind}"

    def process_environment(self) -> dict[str, str]:
        """Return environment variables that must be set before the process starts; none by default.

        The parent asks for them, so they can't depend on a setup; variables of the caller are replaced.
        """
        return {}

    @abstractmethod
    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Return the changed setup."""
