"""Extractive question answering as in SQuAD v1.1."""

from harness.records.trial import MetricRecord, ScoringRecord

SCORING = ScoringRecord(
    metrics=(MetricRecord(name="em", title="EM"), MetricRecord(name="f1", title="F1")), headline="f1"
)
