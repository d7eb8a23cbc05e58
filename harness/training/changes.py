"""Which parameters a training really changed, seen at a sample of each tensor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

SAMPLED_ELEMENTS = 4096
"""Elements looked at in each tensor, evenly spread: in a word embedding they lie in as many different rows, of which a
training of some hundred windows touches enough."""


@dataclass(frozen=True, kw_only=True)
class ChangeReport:
    """Elements of the tensors that changed, of all elements, and the names of tensors that did not."""

    trained: int
    total: int
    untrained: tuple[str, ...]


def sample_parameters(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of evenly spread elements of every parameter, trainable or not."""
    return {name: spread_elements(parameter.detach()).clone() for name, parameter in model.named_parameters()}


def report_changes(model: nn.Module, before: dict[str, Tensor]) -> ChangeReport:
    """Compare the model with an earlier `sample_parameters` of it."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    changed = {
        name: name in before and not torch.equal(spread_elements(parameter.detach()), before[name])
        for name, parameter in model.named_parameters()
    }
    return ChangeReport(
        trained=sum(size for name, size in sizes.items() if changed[name]),
        total=sum(sizes.values()),
        untrained=tuple(name for name in sizes if not changed[name]),
    )


def spread_elements(tensor: Tensor) -> Tensor:
    """Return a flat view on at most `SAMPLED_ELEMENTS` evenly spread elements; it follows the tensor's changes."""
    flat = tensor.view(-1) if tensor.is_contiguous() else tensor.reshape(-1)
    return flat[:: max(1, -(-flat.numel() // SAMPLED_ELEMENTS))]
