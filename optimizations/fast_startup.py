"""A shorter way to the first step.

What it changes: questions are read in a thread of their own while the model is loaded, and answers are scored by the
metric's own functions and not through `evaluate`, so that neither that nor `datasets` has to be imported. (Tokenised
windows come from a cache for every contender.)
Why it is faster: in a job of seconds the start is the job. `evaluate` and `datasets` took 1.4 s to import on a 2-core
machine; all that the job needs of them is a dictionary of scores. Predicted before measuring: those 1.4 s of imports,
and of the shorter of reading and loading what a second core can take; measured on one processor core (smoke preset,
three pairs after a first one that read the disk): imports 5.1 to 5.2 s against 4.2 to 4.5 s, so 0.8 to 1.0 s less, the
whole job 1.16, 1.18 and 1.21 times as fast. Reading beside loading on two cores, and GPU: not measured.
When it is not: long jobs; questions from the hub, which `datasets` reads; with one core nothing goes side by side.
What it does to the numbers: nothing: the same questions, the same weights, the same scores. Fewer modules also spare
Python's garbage collector work, 2 to 6 % of a step on the smoke preset's tiny model; on real sizes not measured.
Sources: CPython documentation, `-X importtime`; SQuAD v1.1's evaluate-v1.1.py.
"""

from __future__ import annotations

from dataclasses import replace

from harness.registry import register
from harness.strategy import Effect, Stage, StartUp, Strategy, TrainSetup


@register
class FastStartup(Strategy):
    """Reading beside loading, scoring without `evaluate`."""

    name = "fast_startup"
    summary = "Questions read while the model loads, scores without importing evaluate"
    effect = Effect.SAME_MATH
    stage = Stage.DATA
    phases = ("imports", "load_data", "load_model", "scoring")
    start_up = StartUp(read_data_beside_model=True, score_without_evaluate=True)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Say so; all has been done before there was a setup."""
        return replace(setup, knobs={**setup.knobs, "start-up": "data beside model, scores without evaluate"})
