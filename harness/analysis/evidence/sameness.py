"""Did it change what runs, and does it compute the same? Footprints, equivalence of some updates, scored logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.records.checks import EquivalenceRecord, EvaluationCheckRecord, FootprintRecord, TensorError
from harness.records.tolerances import BFLOAT16, FLOAT16, FULL_PRECISION, TF32, Tolerance, judged_dtype, tolerance_of

DROPOUT_FACTOR = 2.5
"""Factor between the scatters of the loss beyond which dropout is another one: equals are seldom 1.5 apart."""

TRAINING_CODE = {"make_scheduler", "make_step", "run_epoch"}
"""Host functions that only training goes through (`harness.experiment.footprint.HOST_FUNCTIONS`)."""

NO_SCATTER = 1e-6
"""Scatter, as a share of the loss, that a reference without any dropout may have."""

LOGITS_TOLERANCE = {FULL_PRECISION: 1e-3, TF32: 1e-2, FLOAT16: 5e-2, BFLOAT16: 1e-1}
"""Relative L2 error of scored logits against a plain fp32 pass over the trained model, by the forward pass's dtype."""


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """The equivalence check of some updates, judged."""

    holds: bool
    dtype: str
    """Of the contender's forward pass."""
    tolerance: float
    """For gradients; see `harness.records.tolerances`."""
    loss_error: float
    """Relative, the largest of all updates."""
    gradient_norm_error: float
    """Relative, the largest of all updates."""
    cosine: float | None
    worst: TensorError | None
    problem: str | None
    """What breaks it, in words."""
    tolerance_dtype: str = FULL_PRECISION
    """The dtype whose tolerances it was held against."""
    unmade: str | None = None
    """Why the check says nothing, in words: then it neither holds nor has a problem."""

    @property
    def proves(self) -> bool:
        """Whether it proves that the updates are the same.

        In fp32 alone: other mathematics may be off by less than the tolerances of lower precisions.
        """
        return self.holds and self.dtype == FULL_PRECISION


def judge_equivalence(record: EquivalenceRecord, *, lowers_precision: bool = False) -> Equivalence:
    """Hold the record against the tolerances of its dtype; for `lowers_precision` see `tolerance_of`."""
    tolerance = tolerance_of(record.dtype, lowers_precision=lowers_precision)
    loss_error = _largest_relative(record.losses, record.losses_reference)
    norm_error = _largest_relative(record.gradient_norms, record.gradient_norms_reference)
    worst = record.worst[0] if record.worst else None
    problem = None if record.unmade is not None else _find_problem(record, loss_error, norm_error, tolerance)
    return Equivalence(
        holds=problem is None and record.unmade is None,
        dtype=record.dtype,
        tolerance=tolerance.gradient,
        loss_error=loss_error,
        gradient_norm_error=norm_error,
        cosine=record.cosine,
        worst=worst,
        problem=problem,
        tolerance_dtype=judged_dtype(record.dtype, lowers_precision=lowers_precision),
        unmade=record.unmade,
    )


def _find_problem(record: EquivalenceRecord, loss_error: float, norm_error: float, tolerance: Tolerance) -> str | None:
    """Return what differs most; comparisons are written so that NaN fails them."""
    if record.missing:
        more = f" and {len(record.missing) - 1} more" if len(record.missing) > 1 else ""
        return f"it does not train the tensor {record.missing[0]}{more}"
    typical = "the median matrix"
    errors = [
        *((error.name, error.gradient, error.update, tolerance.gradient, tolerance.update) for error in record.worst),
        (typical, record.typical_gradient, record.typical_update, tolerance.typical_gradient, tolerance.typical_update),
    ]
    for name, gradient, update, gradient_limit, update_limit in errors:
        for what, error, limit in (("gradient", gradient, gradient_limit), ("update", update, update_limit)):
            if error is not None and not error <= limit:
                differs = f"the {what} of {name} differs from the reference by {error:.2g} of its norm"
                return f"{differs} (allowed: {limit:.0e})"
    # Later losses carry the errors of the updates before them.
    if not loss_error <= tolerance.typical_gradient:
        return f"its losses are {_list(record.losses)}, the reference's {_list(record.losses_reference)}"
    if not norm_error <= tolerance.update:
        norms = f"{_list(record.gradient_norms)}, the reference's {_list(record.gradient_norms_reference)}"
        return f"its gradient norms are {norms}"
    return _dropout_problem(record, tolerance.round_off)


def _dropout_problem(record: EquivalenceRecord, round_off: float) -> str | None:
    """Return what is wrong with dropout, which is off in all else, as a whole or on attention's weights alone.

    Rounding scatters losses too: on a tiny model in bfloat16 four times as much as dropout on attention's weights does,
    which then can't be seen. So a scatter is too large only if it is more than either explains.
    """
    loss = abs(record.losses_reference[0])
    for words, given, expected in (
        ("its dropout", record.dropout_scatter, record.dropout_scatter_reference),
        ("its dropout on attention's weights", record.attention_scatter, record.attention_scatter_reference),
    ):
        if given is None or expected is None or expected <= NO_SCATTER * loss:
            continue
        if not expected / DROPOUT_FACTOR <= given <= DROPOUT_FACTOR * max(expected, round_off * loss):
            differs = f"the loss of one window scatters by {given:.2g}, there by {expected:.2g}"
            return f"{words} is not the baseline's: {differs}"
    return None


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _largest_relative(values: Sequence[float], references: Sequence[float]) -> float:
    if len(values) != len(references):
        return math.inf
    errors = (
        abs(value - reference) / max(abs(reference), 1e-12) if math.isfinite(value) else math.inf
        for value, reference in zip(values, references, strict=True)
    )
    return max(errors, default=0.0)


@dataclass(frozen=True, kw_only=True)
class FootprintDifference:
    """What runs differently from the baseline."""

    inert: bool
    """Nothing does."""
    aspects: tuple[str, ...]
    """In words, one each for operators, evaluation, weights, host code and settings."""
    same_ground: bool = False
    """Whether weights (dtypes, shapes, strides) and the process's settings are the baseline's: then the same operators
    on the same shapes do the same work."""


def compare_footprints(baseline: FootprintRecord, contender: FootprintRecord) -> FootprintDifference:
    """Return which aspects differ."""
    aspects = [
        _operator_words("training", baseline.training, contender.training),
        _operator_words("evaluation", baseline.evaluation, contender.evaluation),
        None if baseline.parameters_sha256 == contender.parameters_sha256 else "the weights' dtypes, shapes or strides",
        _setting_words("host code", baseline.host_code, contender.host_code, values=False),
        _setting_words("settings", baseline.flags, contender.flags, values=True),
    ]
    found = tuple(aspect for aspect in aspects if aspect is not None)
    same_ground = aspects[2] is None and aspects[4] is None
    return FootprintDifference(inert=not found, aspects=found, same_ground=same_ground)


def evaluates_alike(baseline: FootprintRecord, contender: FootprintRecord) -> bool:
    """Return whether evaluation runs the same operators on the same weights' layout, by the same code and settings."""
    codes = [
        {name: code for name, code in record.host_code.items() if name not in TRAINING_CODE}
        for record in (baseline, contender)
    ]
    return (
        bool(baseline.evaluation)
        and baseline.evaluation == contender.evaluation
        and baseline.parameters_sha256 == contender.parameters_sha256
        and codes[0] == codes[1]
        and baseline.flags == contender.flags
    )


def _operator_words(what: str, baseline: Mapping[str, int], contender: Mapping[str, int]) -> str | None:
    """Name the operators whose number of calls changed most; dtypes and shapes are compared but not named."""
    changed = {
        key: contender.get(key, 0) - baseline.get(key, 0)
        for key in {*baseline, *contender}
        if contender.get(key, 0) != baseline.get(key, 0)
    }
    if not changed:
        return None
    by_name: dict[str, int] = {}
    for key, difference in changed.items():
        name = key.split(" ", 1)[0]
        by_name[name] = by_name.get(name, 0) + difference
    largest = sorted(by_name.items(), key=lambda item: (-abs(item[1]), item[0]))[:3]
    calls = ", ".join(f"{name} {difference:+d}" for name, difference in largest if difference)
    return f"operators of {what}" + (f" ({calls})" if calls else " (other dtypes or shapes)")


def _setting_words(what: str, baseline: Mapping[str, str], contender: Mapping[str, str], *, values: bool) -> str | None:
    names = [
        name for name in dict.fromkeys([*baseline, *contender]) if baseline.get(name) != contender.get(name)
    ]  # fmt: skip
    if not names:
        return None
    words = [f"{name} {baseline.get(name, 'unset')} → {contender.get(name, 'unset')}" for name in names]
    return f"{what} ({', '.join(words if values else names)})"


def evaluation_problem(record: EvaluationCheckRecord) -> str | None:
    """Return in words why the scored answers are not those of the trained model; None if they are."""
    if record.error is None:
        return None
    limit = LOGITS_TOLERANCE.get(record.dtype, LOGITS_TOLERANCE[FULL_PRECISION])
    if record.error <= limit:
        return None
    return (
        f"the logits that were scored are not those of the trained model: they differ from a plain pass over "
        f"{record.windows} windows by {record.error:.2g} of their norm (allowed: {limit:g})"
    )
