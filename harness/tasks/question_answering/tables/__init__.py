"""What the built-in generator writes about: one module per group of topics, and the records that they are made of."""

from __future__ import annotations

from harness.tasks.question_answering.tables import events, landscape, nature, people, places, society
from harness.tasks.question_answering.tables.schema import Topic

TOPICS: tuple[Topic, ...] = (
    *people.TOPICS,
    *places.TOPICS,
    *landscape.TOPICS,
    *nature.TOPICS,
    *society.TOPICS,
    *events.TOPICS,
)
