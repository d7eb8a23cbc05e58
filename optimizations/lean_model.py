"""DistilBERT and BERT for question answering, in one file.

What it changes: the model is that of `lean/` and not transformers': the same parameters under the checkpoint's names,
the same formulas, and query, key and value as one product. It is loaded from config.json and model.safetensors straight
to the device, and transformers is never imported; a checkpoint that is not laid out so (shards, other names, the hub's
cache) is loaded by transformers and then taken over.
Why it is faster: importing transformers' model classes takes longer than a training of seconds on a fast GPU; one
product for three has fewer launches. Nothing in a forward pass waits for the host: transformers looks at the padding
mask once in each. Measured: see the README, "Start-up".
When it is not: long jobs, where start-up is nothing. The weights of query, key and value are laid side by side in each
forward pass, a copy of 7 MB a layer of 768 features; fused_blocks, which lays them so for good, replaces that.
What it does to the numbers: nothing but rounding: the same formulas, dropout at the same places. What is drawn from the
seed (the answer head, or all of random weights) is what transformers draws.
Sources: Devlin et al. 2019 (arXiv 1810.04805); Sanh et al. 2019 (arXiv 1910.01108); transformers 5, modeling_bert.py
and modeling_distilbert.py, which it is held against in tests.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness.registry import register
from harness.strategy import Effect, Stage, StartUp, Strategy, TrainSetup
from optimizations.lean.config import AUTO_CLASS, refuse_config
from optimizations.lean.loading import load_lean, take_over
from optimizations.lean.model import LeanModel


@register
class LeanModelStrategy(Strategy):
    """A model of one file."""

    name = "lean_model"
    summary = "DistilBERT or BERT in one file: no import of transformers, one QKV product"
    effect = Effect.SAME_MATH
    stage = Stage.START
    addresses = ("start_up",)
    conflicts = ("gradient_checkpointing",)
    phases = ("imports", "load_model")
    start_up = StartUp(loaders=(load_lean,))

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """Other architectures and variants are not written here."""
        if setup.task.auto_class != AUTO_CLASS:
            return f"its model has the head of question answering, the task is {setup.task.name}"
        if not isinstance(setup.model, LeanModel):
            config: Any = getattr(setup.model, "config", None)
            if config is None:
                return f"{type(setup.model).__name__} has no configuration"
            return refuse_config(config.to_dict())
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Take over the model, unless it was loaded so."""
        model = setup.model if isinstance(setup.model, LeanModel) else take_over(setup.model)
        return replace(setup, model=model).with_knobs({"model": "DistilBERT/BERT in one file, QKV fused"})
