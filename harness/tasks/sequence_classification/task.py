"""Classification of texts, put together."""

from __future__ import annotations

from collections.abc import Sequence

from harness.config import DataConfig
from harness.data.windows import Windows
from harness.records.trial import MetricRecord, ScoringRecord
from harness.tasks.sequence_classification.examples import Example
from harness.tasks.sequence_classification.head import head_parameters, make_loss, read_logits
from harness.tasks.sequence_classification.metrics import score_labels
from harness.tasks.sequence_classification.sources import load_examples
from harness.tasks.sequence_classification.windows import LABEL, make_windows
from harness.tasks.task import Logits, Task


def predict(windows: Windows, logits: Logits, examples: Sequence[Example], data: DataConfig) -> list[str]:
    """Return the class with the highest logit for each text."""
    (rows,) = logits
    return [example.classes[int(number)] for example, number in zip(examples, rows.argmax(axis=1), strict=True)]


TASK = Task(
    name="sequence_classification",
    scoring=ScoringRecord(
        metrics=(MetricRecord(name="accuracy", title="accuracy"), MetricRecord(name="f1", title="macro F1")),
        headline="accuracy",
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
    make_loss=make_loss,
    describe_loss=lambda _: "softmax over the classes",
    predict=predict,
    prediction_phase="scoring",
    references=lambda example: (example.label,),
    score=score_labels,
    metric_module=None,
)
