"""What the audits say: steps of jobs and of segments, drawn at random and replayed by the reference."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from harness.analysis.evidence.perturbation import draws_the_same
from harness.records.checks import AuditRecord, AuditsRecord, TensorError
from harness.records.tolerances import AUDITED_UPDATE, FLOAT16, FULL_PRECISION, Tolerance, tolerance_of
from harness.records.trial import TrialRecord
from harness.statistics.perturbation import pool_ratios

FALSE_ALARM = 2e-4
"""Chance that a contender whose gradients are draws of the reference's, with other dropout, is called anything else."""

FARTHEST, NEAREST = 4.5, 0.25
"""Ratio of one gradient (`scatter_ratios`) beyond which it alone is no draw of the reference's. The logarithms of 2,000
draws' on a small model had a standard deviation of 0.29 (bundled encoder: 0.17), 0.37 to 2.3 at the ends; by it 1.3e-6
are below and 6e-8 above. Dropout left out gave 0.11 to 0.63, the batch of another step 2.1 to 9. Where a model has
learned its few windows by heart one of six draws may be most of the scatter (3.3 of 7 seen in 18 steps), and all other
ratios are small: so the lower end is that share of the draws' median, if it is below 1. An honest packed step lay at
0.2."""

SAME_DROPOUT = 0.25
"""Squared distance from the replay with the step's own random state, ÷ that of draws with nothing but the first dropout
in common with it, below which a gradient drew the same dropout. One that is not within rounding of the replay then
computed something else. Of 1,750 such draws on a small model none was below 0.35: no more than 2e-5 of those are that
share the first dropout, and far fewer of those that share none. The padding mask ignored gave 0.01 to 0.32, bfloat16 in
secret 1e-4 at most."""

SAME_LOSS = 1e-6
"""Relative difference of two losses of one batch that other dropout comes below some once in ten thousand times."""

ROUNDED = 0.01
"""The same ratio up to which a claimed lower precision is left to `perturbation.py`: a tenth of the distance."""

SHARES = (0.02, 0.10, 0.50)
"""Of the steps that a fault may touch, for which the report says how surely it is found."""


@dataclass(frozen=True, kw_only=True)
class AuditEvidence:
    """All audits of one contender."""

    in_jobs: int
    """Steps of its jobs that were replayed."""
    in_segments: int
    """Steps of segments beside the timed ones."""
    job_steps: int
    """That the former were drawn from."""
    same_random_numbers: int
    """Of all, those whose dropout drew the reference's own numbers, so that gradients are compared exactly."""
    problems: tuple[str, ...]
    """What was found, each in words: where, which tensor, by how much."""
    unmade: str | None
    """Why steps that were drawn could not be audited, or why audits say nothing, in words."""
    largest_gradient: TensorError | None
    """The largest gradient error of those that drew the reference's own numbers."""
    gradient_tolerance: float | None
    """Allowed for it, by its dtype."""
    largest_update: TensorError | None
    """The largest error of any update, of which `AUDITED_UPDATE` is allowed."""
    memory_gib: float
    """Of the buffers in the contender's process, a part of its measured peak."""
    snapshots_s: float
    """Of all jobs and segments together: copies and questions."""
    replays_s: float
    """Writing and replaying what was drawn."""

    @property
    def audits(self) -> int:
        """Steps that were replayed."""
        return self.in_jobs + self.in_segments

    @property
    def agree(self) -> bool:
        """Whether all that was drawn could be audited and is the reference's."""
        return self.audits > 0 and not self.problems and self.unmade is None


def detection(share: float, audits: int) -> float:
    """Return the probability that one of so many audited steps is among those that a fault touches."""
    return 1.0 - (1.0 - share) ** audits


def judge_audits(trials: Sequence[TrialRecord], *, lowers_precision: bool) -> AuditEvidence | None:
    """Return what the audits of a contender's trials say; None if nothing was audited.

    Of a job that was measured again they count as well: only its times don't.
    """
    trials = [*trials, *(trial.superseded for trial in trials if trial.superseded is not None)]
    records = [trial.audits for trial in trials if trial.audits is not None and trial.kind != "profile"]
    if not records:
        return None
    audits = [audit for record in records for audit in record.audits]
    problems = _find_problems(audits, lowers_precision=lowers_precision)
    exact = [(error, audit) for audit in audits if audit.replay.same_random_numbers for error in audit.replay.worst]
    gradient = max(exact, key=lambda pair: pair[0].gradient or 0.0, default=None)
    updates = [error for audit in audits for error in audit.replay.worst if error.update is not None]
    costs = [record.cost for record in records if record.cost is not None]
    jobs = [trial.audits.cost for trial in trials if trial.kind == "job" and trial.audits and trial.audits.cost]
    return AuditEvidence(
        in_jobs=sum(audit.where == "job" for audit in audits),
        in_segments=sum(audit.where == "segment" for audit in audits),
        job_steps=sum(cost.steps for cost in jobs),
        same_random_numbers=sum(audit.replay.same_random_numbers for audit in audits),
        problems=tuple(problem for _, problem in problems),
        unmade=next(_unmade(records, audits), None),
        largest_gradient=None if gradient is None else gradient[0],
        gradient_tolerance=None
        if gradient is None
        else tolerance_of(gradient[1].replay.dtype, lowers_precision=lowers_precision).gradient,
        largest_update=max(updates, key=lambda error: error.update or 0.0, default=None),
        memory_gib=max((cost.memory_gib for cost in costs), default=0.0),
        snapshots_s=sum(cost.snapshots_s + cost.questions_s for cost in costs),
        replays_s=sum(cost.saving_s for cost in costs),
    )


def _unmade(records: Sequence[AuditsRecord], audits: Sequence[AuditRecord]) -> Iterator[str]:
    """Say why steps could not be audited, or why the audits leave a doubt.

    With other dropout a few steps can't tell: of n steps, no arrangement is rarer than 1 in (draws + 1)ⁿ.
    """
    suspects = [audit for audit in audits if _same_loss(audit)]
    if len(suspects) == 1:
        yield f"{_place(suspects[0])} has the reference's loss, so its dropout too, but not its gradient"
    scattered = [audit.replay.draws + 1 for audit in audits if audit.replay.ratios]
    if len(scattered) == len(audits) > 0 and math.prod(scattered) * FALSE_ALARM / 2 < 1:
        yield f"only {len(audits)} were, all with other dropout than the reference, and so few can't tell"
    for record in records:
        if any(audit.replay.left_to_twin for audit in record.audits) and not _has_twin(record):
            yield "they drew other dropout than the reference, and no twin could be made that tells what else they did"
        if record.problem is not None:
            yield record.problem
        elif len(record.audits) < len(record.drawn):
            yield f"only {len(record.audits)} of {len(record.drawn)} steps that were drawn came to be audited"


def _has_twin(record: AuditsRecord) -> bool:
    """Return whether there is a twin; none is made where the steps' deviations are rounding after all."""
    beside = record.perturbation
    return beside is not None and (beside.twin is not None or draws_the_same(beside))


def _find_problems(audits: Sequence[AuditRecord], *, lowers_precision: bool) -> list[tuple[AuditRecord, str]]:
    """Return how steps differ from the reference's, each beginning with where it was."""
    found = []
    suspects = []
    for audit in audits:
        tolerance = tolerance_of(audit.replay.dtype, lowers_precision=lowers_precision)
        rounded = ROUNDED if lowers_precision else 0.0
        looks = (_state_problems(audit), _update_problems(audit), _gradient_problems(audit, tolerance, rounded))
        problem = next(itertools.chain(*looks), None)
        if problem is not None:
            found.append((audit, f"the audit of {_place(audit)}: {problem}"))
        elif _same_loss(audit):
            suspects.append((audit, f"the audit of {_place(audit)}: {_difference(audit, tolerance)}"))
    # One such loss may be chance.
    found += [(audit, f"{text}, though its loss is the same") for audit, text in suspects if len(suspects) > 1]
    if found:
        # One for each step.
        return found
    together = (_mixture_problem(audits, lowers_precision=lowers_precision), _scatter_problem(audits))
    return [problem for problem in together if problem is not None]


def _place(audit: AuditRecord) -> str:
    if audit.where == "segment":
        return f"step {audit.step} of a segment like the timed ones"
    seed = f", seed {audit.seed}" if audit.seed else ""
    return f"step {audit.step} (epoch {audit.epoch}{seed})"


def _same_loss(audit: AuditRecord) -> bool:
    """Return whether dropout was the reference's, seen at the loss, and the gradient was not."""
    replay = audit.replay
    same = math.isclose(replay.loss, replay.loss_reference, rel_tol=SAME_LOSS)
    return not replay.same_random_numbers and replay.dtype == FULL_PRECISION and same


def _state_problems(audit: AuditRecord) -> Iterator[str]:
    replay, planned = audit.replay, audit.planned_updates_before
    if replay.missing:
        more = f" and {len(replay.missing) - 1} more" if len(replay.missing) > 1 else ""
        yield f"the tensor {replay.missing[0]}{more} was not trained"
    # A gradient scaler may leave updates out; that they are lost is told elsewhere.
    skips = replay.dtype == FLOAT16 and planned is not None and audit.updates_before <= planned
    if planned is not None and audit.updates_before != planned and not skips:
        yield f"its optimizer had made {audit.updates_before} updates before, planned were {planned}"


def _update_problems(audit: AuditRecord) -> Iterator[str]:
    """Hold updates against AdamW's for the step's own gradient; comparisons are written so that NaN fails them."""
    errors = [error for error in audit.replay.worst if error.update is not None and not error.update <= AUDITED_UPDATE]
    if not errors:
        return
    found, planned = audit.learning_rate, audit.planned_learning_rate
    if not abs(found - planned) <= AUDITED_UPDATE * planned:
        yield f"its update fits a learning rate of {found:.4g} best, planned was {planned:.4g}"
        return
    worst = max(errors, key=lambda error: math.inf if math.isnan(error.update or 0.0) else error.update or 0.0)
    yield (
        f"the update of {worst.name} differs from AdamW's for its own gradient by {worst.update:.2g} of its norm "
        f"(allowed {AUDITED_UPDATE:.0e})"
    )


def _difference(audit: AuditRecord, tolerance: Tolerance) -> str:
    """Say how the gradient differs from the reference's with the same random state."""
    replay = audit.replay
    wrong = [error for error in replay.worst if error.gradient is None or not error.gradient <= tolerance.gradient]
    worst = max(wrong, key=lambda error: math.inf if error.gradient is None else error.gradient, default=None)
    if worst is None or worst.gradient is None:
        differs = f"the median matrix's gradient differs from the reference by {replay.typical_gradient or 0.0:.2g}"
        words = f"{differs} of its norm (allowed {tolerance.typical_gradient:.0e})"
    else:
        words = f"the gradient of {worst.name} differs from the reference by {worst.gradient:.2g} of its norm"
        words += f" (allowed {tolerance.gradient:.0e})"
    if not math.isclose(replay.loss, replay.loss_reference, rel_tol=tolerance.typical_gradient):
        words += f", its loss is {replay.loss:.4g}, the reference's {replay.loss_reference:.4g}"
    return words


def _gradient_problems(audit: AuditRecord, tolerance: Tolerance, rounded: float) -> Iterator[str]:
    """Hold a gradient that is not the reference's own against the scatter of dropout.

    An honest one is either the reference's, up to rounding, or as far from it as other dropout.
    """
    replay = audit.replay
    if replay.same_random_numbers or replay.left_to_twin:
        return
    words = _difference(audit, tolerance)
    nearest = NEAREST * min(1.0, median(replay.ratios[1:])) if replay.ratios else NEAREST
    if not replay.ratios:
        yield words
    elif not nearest <= replay.ratios[0] <= FARTHEST:
        yield (
            f"{words}; other dropout does not explain it: it lies {replay.ratios[0]:.2g} times as far (squared) from "
            f"{replay.draws} draws of the reference as one more would (allowed {nearest:.2g} to {FARTHEST:g})"
        )
    elif replay.nearness and rounded < (nearness := _nearness(audit)) < SAME_DROPOUT:
        yield (
            f"{words}; it drew the reference's dropout: it lies {nearness:.2g} times as far (squared) from it as other "
            f"dropout would ({'rounding' if rounded == 0 else f'at most {rounded:g}'}, or {SAME_DROPOUT:g} at least)"
        )


def _nearness(audit: AuditRecord) -> float:
    """Return how far a gradient lies from the reference's with the same random state, in units of what draws do."""
    distance, *drawn = audit.replay.nearness
    return distance / max(fmean(drawn), 1e-300)


def _mixture_problem(audits: Sequence[AuditRecord], *, lowers_precision: bool) -> tuple[AuditRecord, str] | None:
    """Return a step that drew other dropout than the reference where another one, of windows no longer, drew its own.

    Batches that are padded to their longest window, or packed, have the reference's shape only if their windows are
    long enough; then so has each batch of as many windows that are all at least as long.
    """
    exact = [audit for audit in audits if audit.lengths and audit.replay.same_random_numbers]
    for audit in audits:
        if not audit.lengths or audit.replay.same_random_numbers:
            continue
        for like in exact:
            if len(like.lengths) == len(audit.lengths) and all(map(operator.le, like.lengths, audit.lengths)):
                tolerance = tolerance_of(audit.replay.dtype, lowers_precision=lowers_precision)
                return audit, (
                    f"the audit of {_place(audit)}: {_difference(audit, tolerance)}, though {_place(like)}, of windows "
                    "no longer, is the reference's with the same dropout"
                )
    return None


def _scatter_problem(audits: Sequence[AuditRecord]) -> tuple[AuditRecord, str] | None:
    """Hold all gradients that drew other dropout than the reference against its draws, together."""
    groups = [np.array(audit.replay.ratios) for audit in audits if audit.replay.ratios]
    scatter = pool_ratios(groups) if groups else None
    if scatter is None or min(scatter.p_more, scatter.p_less) >= FALSE_ALARM / 2:
        return None
    told = "further from" if scatter.p_more < scatter.p_less else "nearer to"
    return audits[-1], (
        f"over {scatter.groups} audited steps its gradients lie {told} the reference's than other dropout explains: "
        f"{scatter.ratio:.2g} times the squared distance that one more draw has"
    )
