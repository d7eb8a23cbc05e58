"""Which strategies apply here: each asked about a tiny model on this machine's device."""

from __future__ import annotations

from dataclasses import dataclass

from harness import registry
from harness.config import preset
from harness.measurement.environment import choose_device
from harness.tasks import get_task
from harness.training.baseline import build_baseline
from harness.training.model import load_model


@dataclass(frozen=True, kw_only=True)
class Applicability:
    """One row of `speedproof list`."""

    name: str
    summary: str
    effect: str
    stage: str
    reason: str | None
    """Why it can't be applied here; None if it can."""
    is_peer: bool
    """Another program to compare with, not a strategy."""

    def cells(self) -> tuple[str, ...]:
        """Return what a table shows."""
        effect = self.effect.lower().replace("_", " ") + (" (peer)" if self.is_peer else "")
        return self.name, self.summary, effect, "yes" if self.reason is None else f"no: {self.reason}"


def check_applicability(plugins: tuple[str, ...] = ()) -> list[Applicability]:
    """Ask every registered strategy whether it applies to a tiny DistilBERT on this machine."""
    registry.load_all(plugins)
    config = preset("smoke")
    device = choose_device("auto")
    model = load_model(config.model, head=get_task(config.task).head(), seed=0, device=device)
    setup = build_baseline(config, model=model, pad_id=0, seed=0, device=device)
    return [
        Applicability(
            name=strategy.name,
            summary=strategy.summary,
            effect=strategy.effect.name,
            stage=strategy.stage.name,
            reason=strategy().not_applicable(setup),
            is_peer=strategy.is_peer,
        )
        for strategy in map(registry.get, registry.names())
    ]
