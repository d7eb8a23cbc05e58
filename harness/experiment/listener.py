"""Who is told how a run goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.experiment.plan import PlannedTrial
    from harness.records.trial import TrialRecord

Report = Callable[[str, int, int], None]
"""(phase, done, total): progress for whoever waits."""


class Listener:
    """Hears of it and shows nothing; the command line draws progress bars from it."""

    def caches_warmed(self) -> None:
        """A process that no measurement sees begins: what is read first from the disk is read by it."""

    def trial_started(self, trial: PlannedTrial, number: int, total: int) -> None:
        """Trial `number` (from 1) of `total` begins."""

    def trial_progress(self, phase: str, done: int, total: int) -> None:
        """The running trial is so far."""

    def trial_ended(self, trial: PlannedTrial, record: TrialRecord, *, resumed: bool) -> None:
        """The trial is over; `resumed`: it was before this run went on."""
