"""The question-answering example: what every data source yields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One reference answer: a span of the context."""

    text: str
    """The answer, verbatim from the context."""
    start: int
    """Offset of the first character in the context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One question on one passage (SQuAD v1.1: at least one answer, always a span of the context)."""

    id: str
    """Unique within a data set."""
    question: str
    context: str
    """The passage."""
    answers: tuple[Answer, ...]
    """Reference answers; training uses the first, scoring takes the best over all."""
