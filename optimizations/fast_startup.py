"""A shorter way to the first step.

What it changes: questions are read in a thread of their own while the model is loaded; tokenised windows are taken from
the cache without loading the tokenizer; answers are scored by the metric's own functions and not through `evaluate`, so
that neither that nor `datasets` has to be imported; optimizers don't import the compiler, which they would only ask to
leave them alone, nor PyTorch the kernels that only compilers call; on CUDA the driver makes its context while Python
still imports. (`lean_model` does without transformers besides.)
Why it is faster: in a job of seconds the start is the job. Predicted before measuring: what `-X importtime` gives for
these imports, and on a GPU the context's time as far as the imports cover it. Measured on two processor cores: see the
README, "Start-up", a GPU machine too.
When it is not: long jobs; questions from the hub, which `datasets` reads; a first run, whose cache is empty; stacks
that compile, which import all of that later. With one core nothing goes side by side.
What it does to the numbers: nothing: the same questions, the same weights, the same scores. Fewer modules also spare
Python's garbage collector work, 2 to 6 % of a step on the smoke preset's tiny model; on real sizes not measured.
Sources: CPython documentation, `-X importtime`; SQuAD v1.1's evaluate-v1.1.py; CUDA driver API, primary contexts;
torch/_compile.py and torch/optim/optimizer.py (torch 2.11 and 2.13), which import `torch._dynamo` late.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch.optim import AdamW, Optimizer

from harness.registry import register
from harness.strategy import Effect, Stage, StartUp, Strategy, TrainSetup

COMPILER = "torch._dynamo"

UNDISTURBED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""Methods of `Optimizer` that import the compiler when first called, to be left out of what it compiles."""


def spare_compiler() -> None:
    """Have AdamW work without importing the compiler, in this process; a compiler that is there already may stay.

    What the wrappers do for a compiler, nobody misses where there is none. A wrapper that looks otherwise than in the
    versions named above is left as it is: then the compiler is imported as ever.
    """
    if COMPILER in sys.modules:
        return
    for name in UNDISTURBED:
        function = getattr(Optimizer, name)
        if function.__globals__["__name__"] == "torch._compile":
            setattr(Optimizer, name, function.__wrapped__)
    if AdamW.step.__code__.co_name != "_use_grad":
        return
    step = AdamW.step.__wrapped__  # type: ignore[attr-defined]

    @functools.wraps(step)
    def step_as_wrapped(self: Optimizer, *arguments: Any, **named: Any) -> Any:
        with torch.set_grad_enabled(bool(self.defaults["differentiable"])):
            return step(self, *arguments, **named)

    AdamW.step = step_as_wrapped  # type: ignore[method-assign]


@register
class FastStartup(Strategy):
    """Reading beside loading, nothing imported that the job can do without."""

    name = "fast_startup"
    summary = "Questions read while the model loads; no evaluate, tokenizer or compiler imported; CUDA started early"
    effect = Effect.SAME_MATH
    stage = Stage.START
    addresses = ("start_up",)
    phases = ("imports", "cuda_start", "load_data", "tokenise", "load_model", "scoring")
    start_up = StartUp(
        read_data_beside_model=True,
        score_without_evaluate=True,
        tokens_without_tokenizer=True,
        cuda_beside_imports=True,
        without_meta_kernels=True,
    )

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Spare the compiler; all else has been done before there was a setup."""
        spare_compiler()
        what = "data beside model, windows from the cache, scores without evaluate"
        return setup.with_knobs({"start-up": what})
