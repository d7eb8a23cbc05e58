"""Extractive question answering as in SQuAD v1.1, put together."""

from __future__ import annotations

from harness.records.trial import MetricRecord, ScoringRecord
from harness.tasks.question_answering.expected import expect_scores
from harness.tasks.question_answering.head import LABELS, LOGITS, make_loss, read_logits
from harness.tasks.question_answering.metrics import score_directly
from harness.tasks.question_answering.sources import load_examples
from harness.tasks.question_answering.spans import best_answers
from harness.tasks.question_answering.windows import make_windows
from harness.tasks.task import Task

TASK = Task(
    name="question_answering",
    scoring=ScoringRecord(
        metrics=(MetricRecord(name="em", title="EM"), MetricRecord(name="f1", title="F1")),
        headline="f1",
        examples="questions",
    ),
    auto_class="AutoModelForQuestionAnswering",
    labels=LABELS,
    logits=LOGITS,
    logits_per_token=True,
    load=load_examples,
    count_classes=None,
    head_parameters=lambda hidden_size, _: 2 * hidden_size + 2,
    tokenise=lambda examples, tokenizer, data: make_windows(
        examples, tokenizer, max_length=data.max_length, doc_stride=data.doc_stride
    ),
    read_logits=read_logits,
    make_loss=make_loss,
    describe_loss=lambda training: (
        "softmax over the window's tokens" if training.loss_over == "window" else "softmax over padded rows"
    ),
    predict=lambda windows, logits, examples, data: best_answers(
        windows, logits[0], logits[1], examples, max_answer_tokens=data.max_answer_tokens
    ),
    expect=lambda windows, logits, examples, data: expect_scores(
        windows, logits[0], logits[1], examples, max_answer_tokens=data.max_answer_tokens
    ),
    prediction_phase="span_search",
    references=lambda example: [answer.text for answer in example.answers],
    score=score_directly,
    metric_module="harness.tasks.question_answering.squad_metric",
)
