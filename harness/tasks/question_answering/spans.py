"""From logits to answers: the n-best span search over all windows of a question, in numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.data.windows import Windows
from harness.tasks.question_answering.examples import Example

_CHUNK_WINDOWS = 1024
"""Windows searched at a time, which bounds the memory (about 20 MB at n_best 20 and length 384)."""


def best_answers(
    windows: Windows,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    examples: Sequence[Example],
    *,
    n_best: int = 20,
    max_answer_tokens: int = 30,
) -> list[str]:
    """Return the best answer of each example, cut from its passage; "" if there is no valid span.

    The rules are those of the Hugging Face question-answering example: in each window the `n_best` starts and the
    `n_best` ends with the highest logits (of the whole window, question and special tokens included) are paired; a
    pair is valid if both lie in the passage, the end is not before the start, and the span has at most
    `max_answer_tokens` tokens; the valid pair with the highest sum of logits over all windows of the example wins.

    Ties go to the earliest window, there to the smallest start, there to the smallest end; among equal logits
    the smallest token is taken into the n best first. Logits that are not finite are never chosen.

    `start_logits` and `end_logits` are float (W, L), L at least the longest window; columns beyond a window's length
    are ignored. `examples` are what `windows.example_index` counts.
    """
    answers = [""] * len(examples)
    best = np.full(len(examples), -np.inf)
    for first in range(0, len(windows), _CHUNK_WINDOWS):
        chunk = slice(first, first + _CHUNK_WINDOWS)
        scores, starts, ends = _search(
            windows, chunk, start_logits[chunk], end_logits[chunk], n_best=n_best, max_answer_tokens=max_answer_tokens
        )
        for row in np.flatnonzero(scores > -np.inf):
            window = first + int(row)
            example = int(windows.example_index[window])
            if scores[row] > best[example]:
                best[example] = scores[row]
                base = int(windows.row_starts[window])
                begin, stop = windows.offsets[base + starts[row], 0], windows.offsets[base + ends[row], 1]
                answers[example] = examples[example].context[begin:stop]
    return answers


def _search(
    windows: Windows,
    chunk: slice,
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    *,
    n_best: int,
    max_answer_tokens: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return score (-inf if there is no valid span), start and end of the best span of each window, each (w,)."""
    lengths = windows.lengths[chunk]
    columns = np.arange(int(lengths.max()))
    exists = columns < lengths[:, None]
    tokens = np.minimum(windows.row_starts[:-1][chunk, None] + columns, len(windows.input_ids) - 1)
    in_passage = exists & (windows.offsets[tokens, 0] >= 0)
    starts, start_scores = _top(start_logits, exists, in_passage, n_best)
    ends, end_scores = _top(end_logits, exists, in_passage, n_best)

    span = ends[:, None, :] - starts[:, :, None]
    scores = start_scores[:, :, None] + end_scores[:, None, :]
    scores[(span < 0) | (span >= max_answer_tokens)] = -np.inf
    # Starts and ends are sorted by position, so that the first of equal scores has the smallest start, then end.
    flat = scores.reshape(len(scores), -1)
    choice = flat.argmax(axis=1)
    rows = np.arange(len(flat))
    return flat[rows, choice], starts[rows, choice // ends.shape[1]], ends[rows, choice % ends.shape[1]]


def _top(logits: np.ndarray, exists: np.ndarray, in_passage: np.ndarray, n_best: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the `n_best` tokens of each window, by position, and their logits; -inf outside the passage."""
    # float64, so that the sum of two logits is not rounded into a tie.
    values = logits[:, : exists.shape[1]].astype(np.float64)
    values[~exists | ~np.isfinite(values)] = -np.inf
    chosen = np.sort(np.argsort(-values, axis=1, kind="stable")[:, :n_best], axis=1)
    values[~in_passage] = -np.inf
    return chosen, np.take_along_axis(values, chosen, axis=1)
