"""The worker's side of audits: the state before every step is kept, and handed over if the parent wants that step.

Nothing here knows which steps those are: the parent, which has drawn them, is asked when a step is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import HarnessError
from harness.experiment.snapshot import save_tables
from harness.measurement.metrics import GIB
from harness.records.checks import AuditCost
from harness.strategy import StepOutcome
from harness.training.baseline import forward_dtype
from harness.training.loop import Trainer

Ask = Callable[[dict[str, Any]], Any]
"""Sends the parent a message and returns its answer."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""As AdamW's state calls them."""


class NotAuditableError(HarnessError):
    """A step can't be handed over; the text says why."""


@dataclass(frozen=True, kw_only=True)
class StepBefore:
    """The state before the present step; its tensors are the buffers of the one before."""

    tables: dict[str, dict[str, Tensor]]
    """Parameters and both moments, by name."""
    updates: Tensor | float
    """That the optimizer has counted; on a GPU it may count there."""
    random_state: Tensor
    cuda_random_state: Tensor | None


class Auditor:
    """Keeps the state before each step of one training, in buffers that are allocated once."""

    def __init__(self, trainer: Trainer, ask: Ask) -> None:
        self._setup, self._optimizer, self._ask = trainer.setup, trainer.optimizer, ask
        self._buffers: dict[str, dict[str, Tensor]] = {"before": {}, **{name: {} for name in MOMENTS}}
        self._before: StepBefore | None = None
        self._steps = 0
        self._seconds = dict.fromkeys(("snapshots_s", "questions_s", "saving_s"), 0.0)
        self.pauses_s: list[tuple[float, float]] = []
        """Epoch times between which the training waited for an audit."""

    def before(self) -> None:
        """Copy parameters, moments and random state; on a GPU in its stream, without waiting for it."""
        start_s = time.perf_counter()
        state = self._optimizer.state
        parameters = self._parameters()
        present = {"before": {name: parameter.detach() for name, parameter in parameters.items()}}
        for moment in MOMENTS:
            present[moment] = {name: state[p][moment] for name, p in parameters.items() if moment in state.get(p, {})}
        tables = {table: self._copy(table, tensors) for table, tensors in present.items()}
        on_cuda = self._setup.device.type == "cuda"
        self._before = StepBefore(
            tables=tables,
            updates=self._count_updates(),
            random_state=torch.get_rng_state(),
            cuda_random_state=torch.cuda.get_rng_state(self._setup.device) if on_cuda else None,
        )
        self._seconds["snapshots_s"] += time.perf_counter() - start_s

    def _parameters(self) -> dict[str, Tensor]:
        return {name: p for name, p in self._setup.model.named_parameters() if p.requires_grad}

    def _copy(self, table: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return copies of tensors in the table's buffers, which follow them in size and dtype."""
        buffers = self._buffers[table]
        for name, tensor in tensors.items():
            if name not in buffers or buffers[name].shape != tensor.shape or buffers[name].dtype != tensor.dtype:
                buffers[name] = torch.empty_like(tensor)
        copies = {name: buffers[name] for name in tensors}
        if copies:  # the operation takes no empty list
            torch._foreach_copy_(list(copies.values()), list(tensors.values()))
        return copies

    def _count_updates(self) -> Tensor | float:
        """Return the most updates that the optimizer has counted for any tensor: 0 before its first one.

        Not those of one tensor: it may be frozen, and then makes none however well the others are trained.
        """
        counts = [kept["step"] for kept in self._optimizer.state.values() if "step" in kept]
        on_device = [count.detach() for count in counts if isinstance(count, Tensor)]
        if on_device:
            return torch.stack(on_device).amax()
        return max(map(float, counts), default=0.0)

    def after(self, outcome: StepOutcome) -> None:
        """Ask whether the step that is over is to be audited; if so, write it where the parent says, and wait."""
        self._steps += 1
        start_s = time.perf_counter()
        path = self._ask({"event": "step_over"})
        asked_s = time.perf_counter()
        self._seconds["questions_s"] += asked_s - start_s
        if path is None:
            return
        pause_s, problem = time.time(), None
        try:
            self._save(Path(path), outcome)
        except NotAuditableError as error:
            problem = str(error)
        self._ask({"event": "step_kept", "problem": problem})
        self._seconds["saving_s"] += time.perf_counter() - asked_s
        self.pauses_s.append((pause_s, time.time()))

    def _save(self, path: Path, outcome: StepOutcome) -> None:
        before, state, parameters = self._before, self._optimizer.state, self._parameters()
        if before is None:
            raise NotAuditableError("a step was over that had not begun")
        after = {name: state[p]["exp_avg"] for name, p in parameters.items() if "exp_avg" in state.get(p, {})}
        if not after:
            raise NotAuditableError("its optimizer keeps no moments as AdamW does")
        updates_before = int(before.updates)
        if int(self._count_updates()) == updates_before:
            raise NotAuditableError("its step made no update: a gradient scaler may leave one out")
        group = self._optimizer.param_groups[0]
        facts = {
            "updates_before": updates_before,
            "dtype": forward_dtype(self._setup),
            "betas": [float(beta) for beta in group["betas"]],
            "eps": float(group["eps"]),
            "weight_decay": float(group["weight_decay"]),
            "loss": float(outcome.loss),
            "gradient_norm": float(outcome.gradient_norm),
        }
        random_states = {"random_state": before.random_state}
        if before.cuda_random_state is not None:
            random_states["cuda_random_state"] = before.cuda_random_state
        now = {name: parameter.detach() for name, parameter in parameters.items()}
        save_tables(path, {**before.tables, "after": now, "exp_avg_after": after}, random_states, facts)

    def cost(self) -> AuditCost:
        """Return what it has cost so far."""
        buffers = [buffer for table in self._buffers.values() for buffer in table.values()]
        return AuditCost(
            steps=self._steps,
            memory_gib=sum(buffer.numel() * buffer.element_size() for buffer in buffers) / GIB,
            **self._seconds,
        )
