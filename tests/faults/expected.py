"""Faults suite: which faults there are, the verdict that each must get, and how surely chance finds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

AUDIT = "audit"
"""The rule of what audits of single steps find."""

NOTHING_GAINED = frozenset({"NO_GAIN", "UNCLEAR", "SLOWER", "INERT"})
"""What a strategy that gains nothing may be called; anything but faster, and not rejected without reason."""

NOTHING_REFUTED = NOTHING_GAINED - {"INERT"} | {"ACCEPTED", "FASTER", "NOT_APPLICABLE"}
"""What an honest lower precision may be called, here or on a processor that does not have it."""

NOTHING_SEEN = NOTHING_GAINED | {"ACCEPTED", "FASTER", "NOT_MEASURED"}
"""What a fault may be called whose steps no audit has drawn."""

SELDOM = 1e-3
"""Chance of being missed below which a fault must be found: with some dozens of them, about one suite in thirty."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a job's steps are, and how many of them are audited."""

    windows: int
    batch_size: int
    epochs: int
    audits_per_epoch: int

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch; the last one's batch may be smaller."""
        return math.ceil(self.windows / self.batch_size)


Touches = Callable[[int, int, Job], bool]
"""(step, epoch, job), counted from 1: whether a fault touches that step."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A strategy and the verdicts that are right for it."""

    name: str
    right: frozenset[str]
    reason: str = ""
    """Text that one of its reasons must hold."""
    rule: str = ""
    """Rule that one of its reasons must come from."""
    touches: Touches | None = None
    """Steps that it touches, where audits alone can find it; None: whoever looks finds it."""
    share: float = 1.0
    """Of these, at least."""
    is_left_to_chance: bool = False
    """Whether it may be missed, in a job of known length."""

    def missed(self, job: Job) -> float:
        """Return the chance that no audit of a job falls on a step that it touches.

        Audits are drawn without replacement in each epoch, so it is the hypergeometric distribution's chance of none.
        """
        return 0.0 if self.touches is None else math.prod(_missed(*counts, job) for counts in self._counts(job))

    def _counts(self, job: Job) -> Iterable[tuple[int, int]]:
        """Yield the steps of each epoch, and those that it touches."""
        for epoch in range(1, job.epochs + 1):
            first = 1 + (epoch - 1) * job.steps_per_epoch
            steps = range(first, first + job.steps_per_epoch)
            yield len(steps), math.floor(self.share * sum(self.touches(step, epoch, job) for step in steps) + 1e-9)

    def in_job(self, job: Job) -> Fault:
        """Return the fault with the verdicts that are right where that many steps are audited."""
        if self.missed(job) <= SELDOM:
            return self
        return replace(self, right=self.right | NOTHING_SEEN, rule="", is_left_to_chance=True)


def _missed(steps: int, touched: int, job: Job) -> float:
    audits = min(job.audits_per_epoch, steps)
    return math.comb(steps - touched, audits) / math.comb(steps, audits)


def fault(name: str, *right: str, reason: str = "", rule: str = "") -> Fault:
    """Return a fault."""
    return Fault(name=name, right=frozenset(right), reason=reason, rule=rule)


def audited(name: str, touches: Touches, share: float = 1.0) -> Fault:
    """Return a fault that only audits of its steps can find."""
    return Fault(name=name, right=frozenset({"REJECTED"}), rule=AUDIT, touches=touches, share=share)


def at_any(_step: int, _epoch: int, _job: Job) -> bool:
    """Hold for each step."""
    return True


def from_ninth(step: int, _epoch: int, _job: Job) -> bool:
    """Hold from the ninth step on."""
    return step > 8


def in_second_epoch(_step: int, epoch: int, _job: Job) -> bool:
    """Hold in the second epoch."""
    return epoch == 2


def from_second_epoch(_step: int, epoch: int, _job: Job) -> bool:
    """Hold from the second epoch on."""
    return epoch > 1


def in_last_epochs(_step: int, epoch: int, _job: Job) -> bool:
    """Hold from the third epoch on: by then a process is as old as `suite.AGE_S`."""
    return epoch > 2


def at_a_smaller_last(step: int, _epoch: int, job: Job) -> bool:
    """Hold at the last step of an epoch whose batches don't come out even."""
    return step % job.steps_per_epoch == 0 and job.windows % job.batch_size > 0


def every_50th(step: int, _epoch: int, _job: Job) -> bool:
    """Hold at every 50th step."""
    return step % 50 == 0


CHEATS = (
    fault("truncates_in_secret", "REJECTED", reason="baseline's mathematics"),
    fault("truncates_in_the_loop", "REJECTED", reason="baseline's mathematics"),
    fault("mixes_up_labels", "REJECTED", reason="baseline's mathematics"),
    fault("trains_on_half_of_each_batch", "REJECTED", reason="baseline's mathematics"),
    fault("ignores_the_padding_mask", "REJECTED", reason="baseline's mathematics"),
    fault("repeats_the_last_gradient", "REJECTED", reason="baseline's mathematics"),
    fault("computes_in_bfloat16", "REJECTED", reason="baseline's mathematics"),
    fault("updates_tied_weights_twice", "REJECTED", reason="baseline's mathematics"),
    fault("drops_dropout", "REJECTED", reason="its dropout is not the baseline's"),
    fault("leaves_attention_dropout_out", "REJECTED", reason="its dropout on attention's weights is not"),
    fault("windows_see_each_other", "REJECTED", reason="baseline's mathematics in a lower precision"),
    fault("wrong_attention_scale", "REJECTED", reason="baseline's mathematics in a lower precision"),
    fault("timed_trains_on_half_of_each_batch", "REJECTED", rule=AUDIT),
    fault("unpadded+amp_bf16", *NOTHING_REFUTED),
    fault("falls_back_to_fp32", "INERT"),
    fault("no_change", "INERT"),
    fault("leaks_state", *NOTHING_GAINED),
    fault("same_again", "NO_GAIN", "UNCLEAR"),
    fault("synchronises_each_step", *NOTHING_GAINED),
    fault("sleeps_in_collate", "SLOWER", "NO_GAIN", "UNCLEAR"),
    fault("crashes", "FAILED", reason="SIGABRT"),
)
"""Against the plain baseline, with all evidence that there is. Some may be unclear, or slower by less than the noise
floor, which leaves "no gain": this tiny model's steps are too short to time well. What cheats in timed segments alone
is audited there."""

IN_JOBS = (
    fault("skips_every_second_update", "REJECTED", reason="updates changed the parameters"),
    fault("trains_on_half_the_examples", "REJECTED", reason="windows"),
    fault("truncates", "REJECTED", reason="useful tokens"),
    fault("freezes_all_but_the_head", "REJECTED", reason="parameters"),
    fault("freezes_the_word_embedding", "REJECTED", reason="parameters"),
    fault("zero_learning_rate", "REJECTED", reason="learning rates"),
    fault("zero_learning_rate_in_secret", "REJECTED", reason="updates changed the parameters"),
    fault("changes_data_order", "REJECTED", reason="another order"),
    fault("evaluates_on_training_set", "REJECTED", reason="not those of the trained model"),
    fault("reads_the_answers", "REJECTED", reason="not those of the trained model"),
    fault("returns_cached_predictions", "REJECTED", reason="not those of the trained model"),
    fault("evaluates_in_training_mode", "REJECTED", reason="not those of the trained model"),
    fault("trains_on_validation", "REJECTED", reason="token"),
    fault("slows_the_clock", "REJECTED", reason="clock"),
    fault("nan_after_steps", "FAILED", reason="nan"),
    fault("hangs", "FAILED", reason="time limit"),
    fault("raises", "FAILED", reason="ValueError"),
)
"""What a job alone shows, however early it begins."""

LATE = (
    fault("late_skips_every_second_update", "REJECTED", reason="updates changed the parameters"),
    fault("late_zero_learning_rate_in_secret", "REJECTED", reason="updates changed the parameters"),
    fault("rare_zero_learning_rate_in_secret", "REJECTED", reason="updates changed the parameters"),
    fault("late_freezes_all_but_the_head", "REJECTED", reason="updates changed the parameters"),
    fault("late_truncates", "REJECTED", reason="useful tokens"),
    fault("late_slows_the_clock", "REJECTED", reason="clock"),
    fault("late_crashes", "FAILED", reason="SIGABRT"),
    fault("second_epoch_trains_on_half_the_examples", "REJECTED", reason="windows"),
    fault("second_epoch_changes_data_order", "REJECTED", reason="another order"),
    fault("scaler_skips", "REJECTED", reason="updates changed the parameters"),
    fault("iterator_runs_dry", "REJECTED", "FAILED"),
    fault("unpadded", "NOT_MEASURED"),
    fault("fused_adamw", "NOT_MEASURED"),
    audited("late_truncates_in_secret", from_ninth),
    audited("late_mixes_up_labels", from_ninth),
    audited("late_trains_on_half_of_each_batch", from_ninth),
    audited("late_ignores_the_padding_mask", from_ninth),
    audited("late_repeats_the_last_gradient", from_ninth, share=0.5),
    audited("late_computes_in_bfloat16", from_ninth),
    audited("late_freezes_the_word_embedding", from_ninth),
    audited("late_drops_dropout", from_ninth),
    audited("bf16_trains_on_half_of_each_batch", at_any),
    audited("bf16_ignores_the_padding_mask", at_any),
    audited("bf16_late_trains_on_half_of_each_batch", from_ninth),
    audited("bf16_late_ignores_the_padding_mask", from_ninth),
    audited("second_epoch_truncates_in_the_loop", in_second_epoch),
    audited("second_epoch_mixes_up_labels", in_second_epoch),
    audited("paced+aged_trains_on_half_of_each_batch", in_last_epochs),
    audited("rare_trains_on_half_of_each_batch", every_50th),
    audited("sometimes_trains_on_half_of_each_batch", at_any, share=0.1),
    audited("stale_graph_input", from_ninth),
    audited("recapture_loses_a_bucket", from_ninth, share=0.3),
    audited("iterator_starts_over", from_second_epoch),
    audited("accumulation_forgets_to_zero", from_ninth),
    audited("leftover_of_an_epoch", at_a_smaller_last),
    audited("schedule_one_step_late", at_any),
    audited("shifts_labels_of_later_windows", at_any, share=0.3),
)
"""What begins late, is rare, or happens in life, shown by jobs alone, and two that are honest, against whom nothing may
be said (jobs alone measure no speed). Two shares are the data's: more than half of the steps have the longest windows,
and as many a later window with its answer.

A run of the version before audits, with all other evidence, rejected of the audited only `schedule_one_step_late`,
`shifts_labels_of_later_windows` and the two `bf16_…` that cheat at any time: the equivalence check sees those. Against
all others it had nothing to say."""

NO_DROPOUT = (
    audited("late_windows_see_each_other", from_ninth),
    audited("late_wrong_attention_scale", from_ninth),
    audited("late_truncates_in_secret", from_ninth),
    audited("second_epoch_mixes_up_labels", in_second_epoch),
    fault("unpadded+amp_bf16", "NOT_MEASURED", "NOT_APPLICABLE"),
)
"""On a model without dropout, so that audits compare numbers: packed rows draw other dropout than the reference, and in
this tiny random model that scatters the gradient more than the first two faults do."""

PACED = (
    fault("paced_3_percent_faster", "ACCEPTED"),
    fault("paced_3_percent_slower", "SLOWER"),
    fault("paced_again", "NO_GAIN", "UNCLEAR"),
    fault("paced+no_change", "INERT"),
)
"""Against a baseline whose steps end on a beat: what is known to be 3 % must be called so, within seconds."""

SHORT = frozenset(
    {
        "truncates_in_secret",
        "windows_see_each_other",
        "no_change",
        "skips_every_second_update",
        "returns_cached_predictions",
        "raises",
        "late_crashes",
        "late_trains_on_half_of_each_batch",
        "stale_graph_input",
    }
)
"""The short form: one cheat for each kind of check."""
