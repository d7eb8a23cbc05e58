"""Padding to the longest window of the batch.

What it changes: a batch is as long as its longest window and not as `max_length`; so are the batches of evaluation.
Why it is faster: fewer padding tokens go through the model: with SQuAD at length 384 and 16 windows in random order
334 tokens a window are left, of which 180 are useful. Predicted before measuring: 1.25 times the baseline's step rate
on DistilBERT, 1.35 on MiniLM; measured over 3 and 4 steps on one core of an AVX2 processor in fp32: 1.2 (two of the six
layers) and 1.3. GPU: not measured.
When it is not: one long window makes the whole batch long (see length_bucketing, unpadded); every length is a new
shape to compilers and CUDA graphs.
What it does to the numbers: nothing: padding is masked in attention and in the loss. Over padded rows
(`training.loss_over = row`) it would be another loss: at the start, where the answer head is random, its gradient
differed by 23 % of its norm on MiniLM, after ten steps by 3 %; so it does not apply there.
Sources: transformers `DataCollatorWithPadding`; its question-answering example (`pad_to_max_length`).
"""

from __future__ import annotations

from dataclasses import replace

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup, make_trimming_collate


@register
class DynamicPadding(Strategy):
    """Batches as long as their longest window."""

    name = "dynamic_padding"
    summary = "Padding to the batch's longest window, not to max_length"
    effect = Effect.SAME_MATH
    stage = Stage.DATA
    addresses = ("padding_waste",)

    def not_applicable(self, setup: TrainSetup) -> str | None:
        """The loss must not see padding."""
        if setup.training.loss_over != "window":
            return "the loss runs over padding too (training.loss_over = row), so cutting it would change the loss"
        return super().not_applicable(setup)

    def apply(self, setup: TrainSetup) -> TrainSetup:
        """Cut the columns that are padding in every row."""
        trimmed = replace(setup, collate=make_trimming_collate(setup.collate))
        return trimmed.with_knobs({"padding": "to the batch's longest window"})
