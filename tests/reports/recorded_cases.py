"""The run directories whose reports are golden files, by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from harness.records.store import TRIAL_FILE


def record_interrupted(recorded: ModuleType, directory: Path) -> Path:
    """Write a run that was ended in its second seed, and whose last record was cut off."""
    recorded.record_run(directory, failed=False)
    for trial in ("fused_adamw+sdpa/1", "channels_last/1", "amp_bf16/speed", "fused_adamw+sdpa/speed"):
        shutil.rmtree(directory / "trials" / trial)
    for trial in ("baseline/profile", "amp_bf16/profile", "fused_adamw+sdpa/profile"):
        shutil.rmtree(directory / "trials" / trial)
    (directory / "trials/amp_bf16/1" / TRIAL_FILE).write_text('{"schema_version": 3, "cont', encoding="utf-8")
    return directory


CASES: dict[str, Callable[[ModuleType, Path], Path]] = {
    "gpu": lambda recorded, directory: recorded.record_run(directory, gpu=True, failed=False),
    "cpu": lambda recorded, directory: recorded.record_run(directory, failed=False),
    "failed": lambda recorded, directory: recorded.record_run(directory),
    "one_seed": lambda recorded, directory: recorded.record_run(directory, seeds=1, failed=False),
    "vacuous": lambda recorded, directory: recorded.record_run(directory, failed=False, untrained_f1=43.0),
    "interrupted": record_interrupted,
}
