"""Which strategies apply on this machine: each is asked about a tiny model on its device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from harness import registry
from harness.config import RunConfig
from harness.measurement.environment import choose_device
from harness.presets import preset
from harness.tasks import get_task
from harness.training.baseline import build_baseline
from harness.training.model import load_model


def make_asking(device: torch.device) -> Callable[[str], str | None]:
    """Return a function from a strategy's name to the reason why it can't be applied to a tiny DistilBERT, or None."""
    config = preset("smoke")
    model = load_model(config.model, head=get_task(config.task).head(), seed=0, device=device)
    setup = build_baseline(config, model=model, pad_id=0, seed=0, device=device)
    return lambda name: registry.get(name)().not_applicable(setup)


def spell_out_stacks(config: RunConfig) -> RunConfig:
    """Return the configuration with named stacks replaced by their parts on its device, in contenders and baseline."""
    registry.load_all(config.plugins)
    given = (config.baseline, *config.contenders)
    if not any(stack.name in contender.split("+") for stack in registry.named_stacks() for contender in given):
        return config
    device = choose_device(config.device)
    ask = make_asking(device)
    baseline, *contenders = (registry.spell_out(name, device.type, lambda part: ask(part) is None) for name in given)
    return replace(config, baseline=baseline, contenders=tuple(dict.fromkeys(contenders)))
