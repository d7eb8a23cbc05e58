"""What a model can be fine-tuned for: one folder a task, imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError

if TYPE_CHECKING:
    from harness.tasks.task import Task

TASKS = ("question_answering", "sequence_classification")


def get_task(name: str) -> Task[Any]:
    """Return the task `name`; ConfigError lists the known ones."""
    if name not in TASKS:
        raise ConfigError(f"there is no task {name!r}", remedy=f"use one of {', '.join(TASKS)}")
    task: Task[Any] = importlib.import_module(f"{__name__}.{name}.task").TASK
    return task
