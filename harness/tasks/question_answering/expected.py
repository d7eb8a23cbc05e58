"""What a model's answers would score on average if they were drawn from its distribution over spans, in numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.data.windows import Windows
from harness.tasks.question_answering.examples import Example

_CHUNK_WINDOWS = 512
"""Windows at a time, which bounds the memory (some 10 MB at length 384)."""

LEAST_LIKELIHOOD = 1e-12
"""Of a right answer that has no span in any window, so that its logarithm is a number."""


def expect_scores(
    windows: Windows,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    examples: Sequence[Example],
    *,
    max_answer_tokens: int,
) -> list[dict[str, float]]:
    """Return "expected_em", "expected_f1" (both 0 to 1) and "log_likelihood" of each example.

    The distribution is the softmax of start plus end logit over all spans that may be an answer, in all windows of the
    example together: both ends in the passage, at most `max_answer_tokens` long. Expected EM is the probability of the
    references' own spans, and so is the likelihood. Expected F1 counts the characters that span and reference share,
    with the best reference for each span. The metric's rules for articles, punctuation and words that come twice are
    left out: these are scores of their own, that go with EM and F1 and don't stand in for them.
    """
    places = [_places(example) for example in examples]
    shifts, masses = np.full(len(windows), -np.inf), np.zeros((3, len(windows)))
    for first in range(0, len(windows), _CHUNK_WINDOWS):
        chunk = slice(first, min(first + _CHUNK_WINDOWS, len(windows)))
        answers = [places[int(number)] for number in windows.example_index[chunk]]
        shifts[chunk], masses[:, chunk] = _sum_spans(
            windows, chunk, start_logits[chunk], end_logits[chunk], answers, max_answer_tokens
        )
    # Windows of one example share its distribution.
    owner, highest = windows.example_index, np.full(len(examples), -np.inf)
    np.maximum.at(highest, owner, shifts)
    weights = np.zeros(len(windows))
    known = np.isfinite(shifts)
    weights[known] = np.exp(shifts[known] - highest[owner[known]])
    total, right, shared = (np.bincount(owner, weights=weights * mass, minlength=len(examples)) for mass in masses)
    safe = np.where(total > 0, total, 1.0)
    return [
        {"expected_em": em, "expected_f1": f1, "log_likelihood": math.log(max(em, LEAST_LIKELIHOOD))}
        for em, f1 in zip((right / safe).tolist(), (shared / safe).tolist(), strict=True)
    ]


def _places(example: Example) -> list[tuple[int, int]]:
    """Return first character, and the one after the last, of each reference; those that are the same once."""
    texts = ((answer, answer.text.strip()) for answer in example.answers)
    firsts = ((answer.start + answer.text.index(text), len(text)) for answer, text in texts)
    return sorted({(first, first + length) for first, length in firsts})


def _sum_spans(
    windows: Windows,
    chunk: slice,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    answers: Sequence[Sequence[tuple[int, int]]],
    max_answer_tokens: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return each window's highest sum of logits, (w,), and (3, w) sums of exp(logits − highest) over its spans.

    The three sums: of every span, of those that are a reference, and of every span times its F1.
    """
    lengths = windows.lengths[chunk]
    columns = np.arange(int(lengths.max()))
    tokens = np.minimum(windows.row_starts[:-1][chunk, None] + columns, len(windows.input_ids) - 1)
    begins, stops = windows.offsets[tokens, 0].astype(np.float64), windows.offsets[tokens, 1].astype(np.float64)
    allowed = (columns < lengths[:, None]) & (begins >= 0)
    starts, ends = (_masked(logits[:, : len(columns)], allowed) for logits in (start_logits, end_logits))
    tops = starts.max(axis=1), ends.max(axis=1)
    shift = tops[0] + tops[1]
    for logits, top in zip((starts, ends), tops, strict=True):
        logits -= np.where(np.isfinite(shift), top, 0.0)[:, None]
    most = max((len(row) for row in answers), default=0)
    # A window with fewer places than others repeats its first: the best of them is the same.
    padded = [[*row, *[row[0] if row else (0, 0)] * (most - len(row))] for row in answers]
    table = np.array(padded, dtype=np.float64).reshape(-1, most, 2)
    sums = np.zeros((3, len(lengths)))
    for more in range(min(max_answer_tokens, len(columns))):
        kept = len(columns) - more
        mass = np.exp(starts[:, :kept] + ends[:, more:])
        begin, stop = begins[:, :kept], stops[:, more:]
        is_right, best = np.zeros(mass.shape, dtype=bool), np.zeros(mass.shape)
        for low, high in (np.moveaxis(table[:, number, :, None], 1, 0) for number in range(most)):
            shared = np.minimum(stop, high) - np.maximum(begin, low)
            np.maximum(best, 2 * shared / np.maximum(stop - begin + high - low, 1.0), out=best)
            # A word piece can't be cut: those that hold the reference's ends are its ends.
            is_right |= (begin <= low) & (low < stops[:, :kept]) & (begins[:, more:] < high) & (high <= stop)
        sums += [mass.sum(axis=1), (mass * is_right).sum(axis=1), (mass * best).sum(axis=1)]
    return shift, sums


def _masked(logits: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    return np.where(allowed & np.isfinite(logits), logits, -np.inf).astype(np.float64)
