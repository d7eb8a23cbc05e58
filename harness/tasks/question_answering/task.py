"""Extractive question answering as in SQuAD v1.1, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.config import DataConfig, TrainingConfig
from harness.data.windows import Windows
from harness.records.trial import MetricRecord, ScoringRecord
from harness.tasks.question_answering.examples import Example
from harness.tasks.question_answering.head import LABELS, LOGITS, make_loss, read_logits
from harness.tasks.question_answering.metrics import score_directly
from harness.tasks.question_answering.sources import load_examples
from harness.tasks.question_answering.spans import best_answers
from harness.tasks.question_answering.windows import make_windows
from harness.tasks.task import Logits, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenise(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, data: DataConfig) -> Windows:
    """Return the windows of questions with their passages."""
    return make_windows(examples, tokenizer, max_length=data.max_length, doc_stride=data.doc_stride)


def predict(windows: Windows, logits: Logits, examples: Sequence[Example], data: DataConfig) -> list[str]:
    """Return the best span of each question's passage."""
    starts, ends = logits
    return best_answers(windows, starts, ends, examples, max_answer_tokens=data.max_answer_tokens)


def describe_loss(training: TrainingConfig) -> str:
    """Say over which positions the softmax runs."""
    return "softmax over the window's tokens" if training.loss_over == "window" else "softmax over padded rows"


TASK = Task(
    name="question_answering",
    scoring=ScoringRecord(
        metrics=(MetricRecord(name="em", title="EM"), MetricRecord(name="f1", title="F1")), headline="f1"
    ),
    auto_class="AutoModelForQuestionAnswering",
    labels=LABELS,
    logits=LOGITS,
    logits_per_token=True,
    load=load_examples,
    count_classes=None,
    head_parameters=lambda hidden_size, _: 2 * hidden_size + 2,
    tokenise=tokenise,
    read_logits=read_logits,
    make_loss=make_loss,
    describe_loss=describe_loss,
    predict=predict,
    prediction_phase="span_search",
    references=lambda example: [answer.text for answer in example.answers],
    score=score_directly,
    metric_module="harness.tasks.question_answering.squad_metric",
)
