"""Faults suite: strategies that compute in bfloat16, and something else than they claim. A plugin file."""

from __future__ import annotations

from dataclasses import replace

import torch

from harness.registry import register
from harness.strategy import Effect, Stage, Strategy, TrainSetup
from optimizations import unpadded

WRONG_SCALE = 0.5**0.5
"""1 / √(2d) for 1 / √d."""


class Fault(Strategy):
    """What the strategies of this file have in common; not registered itself: packed rows under bf16 autocast.

    Evaluation is padded and right, so that the check of the scored logits sees nothing.
    """

    effect = Effect.LOWER_PRECISION
    stage = Stage.MODEL

    def apply(self, setup: TrainSetup) -> TrainSetup:
        collate_padded, evaluate_padded = setup.collate, setup.evaluate

        def evaluate(setup, windows):
            return evaluate_padded(replace(setup, collate=collate_padded), windows)

        setup = unpadded.Unpadded().apply(setup)
        unpadded.ATTENTIONS[self.name] = self.attend
        unpadded.set_packed_attention(setup.model, self.name, longest=setup.max_length)
        return replace(setup, compute_dtype=torch.bfloat16, evaluate=evaluate)

    @staticmethod
    def attend(query, key, value, cu_seqlens, *, longest, scaling, dropout):
        """Return the attention of one packed row; see `unpadded.AttendPacked`."""
        raise NotImplementedError


@register
class WindowsSeeEachOther(Fault):
    """Attention goes over the whole packed row. Caught by the equivalence check, within bfloat16's tolerances."""

    name = "windows_see_each_other"
    summary = "Fault: in bf16, the windows of a packed row attend to each other"

    @staticmethod
    def attend(query, key, value, cu_seqlens, *, longest, scaling, dropout):
        return unpadded.attend(query, key, value, scaling=scaling, dropout=dropout).transpose(1, 2)


@register
class WrongAttentionScale(Fault):
    """Scores are divided by √(2d). Caught by the equivalence check, within bfloat16's tolerances."""

    name = "wrong_attention_scale"
    summary = "Fault: in bf16, attention with another scale"

    @staticmethod
    def attend(query, key, value, cu_seqlens, *, longest, scaling, dropout):
        return unpadded.attend_one_by_one(
            query, key, value, cu_seqlens, longest=longest, scaling=scaling * WRONG_SCALE, dropout=dropout
        )
