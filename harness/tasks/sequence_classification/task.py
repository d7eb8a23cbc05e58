"""Classification of texts, put together."""

from __future__ import annotations

from harness.records.trial import MetricRecord, ScoringRecord
from harness.tasks.sequence_classification.expected import expect_scores
from harness.tasks.sequence_classification.head import class_loss, head_parameters, read_logits
from harness.tasks.sequence_classification.metrics import score_labels
from harness.tasks.sequence_classification.sources import load_examples
from harness.tasks.sequence_classification.windows import LABEL, make_windows
from harness.tasks.task import Task

TASK = Task(
    name="sequence_classification",
    scoring=ScoringRecord(
        metrics=(MetricRecord(name="accuracy", title="accuracy"), MetricRecord(name="f1", title="macro F1")),
        headline="accuracy",
        examples="texts",
    ),
    auto_class="AutoModelForSequenceClassification",
    labels=(LABEL,),
    logits=("logits",),
    logits_per_token=False,
    load=load_examples,
    count_classes=lambda train: len(train[0].classes),
    head_parameters=head_parameters,
    tokenise=make_windows,
    read_logits=read_logits,
    make_loss=lambda _: class_loss,
    describe_loss=lambda _: "softmax over the classes",
    predict=lambda _windows, logits, examples, _data: [
        example.classes[int(number)] for example, number in zip(examples, logits[0].argmax(axis=1), strict=True)
    ],
    expect=lambda _windows, logits, examples, _data: expect_scores(logits[0], examples),
    prediction_phase="scoring",
    references=lambda example: (example.label,),
    score=score_labels,
    metric_module=None,
)
