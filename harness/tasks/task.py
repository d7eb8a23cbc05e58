"""What a task is: where its examples come from, how they become windows, what a model learns of them and answers.

A task is a folder here whose module `task` holds one `Task`, named `TASK`, and one line in `harness/tasks/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from harness.config import DataConfig, RunConfig, TrainingConfig
    from harness.data.batching import Batch
    from harness.data.windows import Windows
    from harness.records.trial import ExamplePrediction, ScoringRecord

Logits = tuple[np.ndarray, ...]
"""Outputs of a model in the task's order, float32, each (windows, columns): what answers are read from."""

E = TypeVar("E")
"""The task's example: a frozen dataclass, its `id` unique within a data set."""

Scored: TypeAlias = "tuple[dict[str, float], list[ExamplePrediction]]"
"""Scores of a whole set in percent, by metric, and each answer with its own; their means are the whole's."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """What stands on the encoder."""

    auto_class: str
    """The class of transformers that makes models with it."""
    classes: int | None = None
    """How many there are to choose from; None where the number is the architecture's."""


@dataclass(frozen=True, kw_only=True)
class Task(Generic[E]):
    """A task: plain functions, which everything else calls."""

    name: str
    scoring: ScoringRecord
    auto_class: str
    """See `Head`."""
    labels: tuple[str, ...]
    """Names of a window's labels, under which a model of transformers takes them too."""
    logits: tuple[str, ...]
    """Names of the outputs that answers are read from, in the order of transformers' models."""
    logits_per_token: bool
    """Whether the columns of the logits are a window's tokens."""
    load: Callable[[DataConfig], tuple[list[E], list[E]]]
    """Training and validation examples; DataError if a source can't be reached or read."""
    count_classes: Callable[[Sequence[E]], int] | None
    """Of the training examples; None where the head does not depend on them."""
    head_parameters: Callable[[int, int | None], int]
    """(hidden size, classes) → elements of the head's tensors."""
    tokenise: Callable[[Sequence[E], PreTrainedTokenizerBase, DataConfig], Windows]
    read_logits: Callable[[nn.Module, Batch, int], tuple[Tensor, ...]]
    """(model, batch, tokens of the longest window at least) → float32 logits, a row for each window: how the head reads
    padded and packed batches."""
    make_loss: Callable[[RunConfig], Callable[[nn.Module, Batch], Tensor]]
    """The loss of padded and of packed batches; a packed window whose label is `NO_LABEL` counts for nothing."""
    describe_loss: Callable[[TrainingConfig], str]
    """As the report prints it."""
    predict: Callable[[Windows, Logits, Sequence[E], DataConfig], list[str]]
    """Answers, one for each example."""
    expect: Callable[[Windows, Logits, Sequence[E], DataConfig], list[dict[str, float]]]
    """Of each example, from the same logits: "expected_<metric>", what answers drawn from the model's distribution
    would score, 0 to 1, and the "log_likelihood" of the right answer."""
    prediction_phase: str
    """Name of the phase of a job in which that is done, one of `harness.records.strategy.HARNESS_PHASES`."""
    references: Callable[[E], Sequence[str]]
    """The right answers of an example."""
    score: Callable[[Sequence[str], Sequence[str], Sequence[Sequence[str]]], Scored]
    """(ids, answers, references), all checked: the scores."""
    metric_module: str | None
    """Whose function `evaluate_answers` is the same through the library `evaluate`, which takes seconds to import."""

    def head(self, train: Sequence[E] | None = None) -> Head:
        """Return the head for these training examples; for none, as large as transformers makes it by itself."""
        count = self.count_classes
        return Head(auto_class=self.auto_class, classes=None if count is None or train is None else count(train))
