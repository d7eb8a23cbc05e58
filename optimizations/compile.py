"""torch.compile, one block at a time.

What it changes: the forward pass of each repeated transformer block is compiled by Inductor; all blocks share one
graph, so the compiler runs once and not once per layer. Only training is compiled: evaluation stays eager.
Why it is faster: element-wise chains (bias+GELU, dropout+residual+norm) become one kernel, fewer launches.
When it is not: short jobs don't earn the compile time back (tens of seconds cold); on processors the products dominate
and are oneDNN's either way; every new batch shape may compile again.
What it does to the numbers: the same formulas; dropout draws other random numbers, sums may be ordered differently.
Sources: PyTorch `torch.compile` documentation; "Reducing torch.compile cold start compilation time with regional
compilation" (PyTorch recipes); Ansel et al. 2024 (doi 10.1145/3620665.3640366).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import nn

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup
from optimizations.native.build import find_compiler


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """Return the layers of the longest list of like modules, or the model itself if there is none."""
    lists = [list(module) for module in model.modules() if isinstance(module, nn.ModuleList)]
    alike = [modules for modules in lists if len(set(map(type, modules))) == 1]
    return max(alike, key=len, default=[model])


def compile_training_forward(block: nn.Module) -> None:
    """Make `block` run compiled code in training mode and its own in evaluation mode."""
    eager: Callable[..., Any] = block.forward
    compiled = torch.compile(eager)

    def forward(*args: Any, **kwargs: Any) -> Any:
        return compiled(*args, **kwargs) if block.training else eager(*args, **kwargs)

    block.forward = forward


@register
class Compile(Strategy):
    """Compile the repeated block once."""

    name = "compile"
    summary = "Transformer blocks compiled by Inductor, one graph for all"
    effect = Effect.SAME_MATH
    stage = Stage.COMPILE
    addresses: ClassVar[tuple[str, ...]] = ("small_kernels", "elementwise")

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Inductor needs a C++ compiler for processors and Triton for GPUs."""
        if find_compiler() is None:
            return "torch.compile needs a C++ compiler (g++ or clang++), none is installed"
        if setup.device.type == "cuda" and find_spec("triton") is None:
            return "torch.compile on CUDA needs Triton, which is not installed"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Wrap the blocks; the compiler itself runs in warm-up."""
        blocks = repeated_blocks(setup.model)
        for block in blocks:
            compile_training_forward(block)
        what = f"{len(blocks)} × {type(blocks[0]).__name__}, training only"
        return replace(setup, compiles=True).with_knobs({"compile": f"Inductor, {what}"})
