"""The rows of `speedproof list`: which strategies apply here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness import registry
from harness.errors import StrategyError
from harness.experiment.applicability import make_asking
from harness.measurement.environment import choose_device


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
    """Ask every registered strategy whether it applies to a tiny DistilBERT on this machine; named stacks come last."""
    registry.load_all(plugins)
    device = choose_device("auto")
    ask = make_asking(device)
    return [
        Applicability(
            name=strategy.name,
            summary=strategy.summary,
            effect=strategy.effect.name,
            stage=strategy.stage.name,
            reason=ask(strategy.name),
            is_peer=strategy.is_peer,
        )
        for strategy in map(registry.get, registry.names())
    ] + [_row_of(stack, device.type, lambda part: ask(part) is None) for stack in registry.named_stacks()]


def _row_of(stack: registry.NamedStack, device: str, applies: Callable[[str], bool]) -> Applicability:
    summary, reason = stack.summary, None
    try:
        summary += f": {registry.spell_out(stack.name, device, applies)}"
    except StrategyError as error:
        reason = error.message
    return Applicability(
        name=stack.name, summary=summary, effect="that of its parts", stage="", reason=reason, is_peer=False
    )
