"""What a worker does for audits of others' steps: replays, twins. Imported when it is first asked: it needs scipy."""

from __future__ import annotations

from pathlib import Path

import torch

from harness.experiment import commands
from harness.experiment.beside import Beside, load_kept, load_twin, save_twin
from harness.experiment.equivalence import make_checked_setup
from harness.experiment.referee import replay_step
from harness.experiment.trial import Prepared
from harness.experiment.twin import compare_twin, make_twin
from harness.records.checks import AuditRecord
from harness.records.perturbation import TwinRecord
from harness.records.spec import TrialSpec


class Replays:
    """A handler for each of the commands on audited steps."""

    def __init__(self, spec: TrialSpec, prepared: Prepared, device: torch.device) -> None:
        self._spec = spec
        self._prepared = prepared
        self._device = device
        self._beside = Beside()

    def replay(self, command: commands.Replay) -> AuditRecord:
        """Replay one step as the reference."""
        if self._prepared.strategies:
            raise RuntimeError("the referee computes as the reference does, without any strategy")
        return replay_step(command, self._prepared.setup, self._prepared.inputs.train_windows, self._beside)

    def end(self, _: commands.EndReplays) -> commands.Perturbed:
        """Sum up the steps of one job."""
        return self._beside.end()

    def make_twin(self, command: commands.MakeTwin) -> None:
        """Make the audited steps again on a fresh model, with this worker's strategies, dropout off."""
        snapshots, prepared = [load_kept(step) for step in command.steps], self._prepared
        twin = make_twin(self._spec.config, prepared.strategies, prepared.inputs, self._device, snapshots)
        save_twin(twin, Path(command.path))

    def compare_twin(self, command: commands.CompareTwin) -> TwinRecord:
        """Hold a twin's steps against the reference's."""
        inputs, snapshots = self._prepared.inputs, [load_kept(step) for step in command.steps]
        plain = make_checked_setup(self._spec.config, [], inputs, self._device)
        twin = load_twin(Path(command.path), len(snapshots))
        # The scale of deviations is the job's own scatter, which the parent hands on.
        return compare_twin(command.record, twin, snapshots, plain, inputs.train_windows)
