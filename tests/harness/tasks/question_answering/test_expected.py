"""Expected scores and likelihoods of spans against nested loops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.data.windows import Windows
from harness.tasks.question_answering import expected
from harness.tasks.question_answering.examples import Answer, Example
from harness.tasks.question_answering.expected import LEAST_LIKELIHOOD, expect_scores

MOST = 5


def make_case(lengths, example_index, count):
    """Windows of (question tokens, passage tokens) and a closing token; every token has two characters of its own."""
    rows, position = [], 0
    for question, passage in lengths:
        inside = [[2 * (position + k), 2 * (position + k) + 2] for k in range(passage)]
        rows += [[-1, -1]] * question + inside + [[-1, -1]]
        position += passage
    counts = [question + passage + 1 for question, passage in lengths]
    windows = Windows(
        input_ids=np.zeros(len(rows), dtype=np.int32),
        token_type_ids=np.zeros(len(rows), dtype=np.int8),
        row_starts=np.concatenate([[0], np.cumsum(counts)]),
        labels={},
        example_index=np.array(example_index),
        offsets=np.array(rows, dtype=np.int32),
    )
    context = "".join(chr(0x4E00 + k) for k in range(2 * position))
    return windows, [Example(id=str(k), question="", context=context, answers=()) for k in range(count)]


def looped(windows, starts, ends, examples):
    """Return (expected EM, expected F1) of each example, span by span."""
    found = []
    for number, item in enumerate(examples):
        total = right = shared = 0.0
        golds = {(answer.start, answer.start + len(answer.text)) for answer in item.answers}
        for window in np.flatnonzero(windows.example_index == number):
            offsets = windows.offsets[windows.row(int(window))]
            for i in range(len(offsets)):
                for j in range(i, min(i + MOST, len(offsets))):
                    if offsets[i, 0] < 0 or offsets[j, 0] < 0:
                        continue
                    mass = math.exp(float(starts[window, i]) + float(ends[window, j]))
                    begin, stop = offsets[i, 0], offsets[j, 1]
                    overlaps = [(max(0, min(stop, high) - max(begin, low)), high - low) for low, high in golds]
                    total += mass
                    right += mass * any(
                        offsets[i, 0] <= low < offsets[i, 1] and offsets[j, 0] < high <= offsets[j, 1]
                        for low, high in golds
                    )
                    shared += mass * max((2 * o / (stop - begin + length) for o, length in overlaps), default=0.0)
        found.append((right / total, shared / total) if total else (0.0, 0.0))
    return found


def with_answers(examples, *places):
    """Give example k the answers at these places of the text."""
    return [
        replace(item, answers=tuple(Answer(text=item.context[low:high], start=low) for low, high in golds))
        for item, golds in zip(examples, places, strict=True)
    ]


@pytest.mark.parametrize("chunk", [2, 100])
def test_sums_over_all_windows_of_an_example_are_those_of_nested_loops(chunk, monkeypatch):
    monkeypatch.setattr(expected, "_CHUNK_WINDOWS", chunk)
    rng = np.random.default_rng(0)
    windows, examples = make_case([(2, 9), (1, 4), (3, 12), (2, 7)], [0, 0, 1, 2], 3)
    # Whole tokens, half a token, an answer that no window holds, and one without any window's passage.
    examples = with_answers(examples, [(2, 6), (2, 8), (20, 22)], [(27, 30)], [(2, 4)])
    starts, ends = rng.normal(0.0, 2.0, size=(2, 4, 20)).astype(np.float32)
    rows = expect_scores(windows, starts, ends, examples, max_answer_tokens=MOST)
    for row, (em, f1) in zip(rows, looped(windows, starts, ends, examples), strict=True):
        assert (row["expected_em"], row["expected_f1"]) == pytest.approx((em, f1))
        assert row["log_likelihood"] == pytest.approx(math.log(max(em, LEAST_LIKELIHOOD)))
    assert rows[0]["expected_em"] > 0.0
    assert rows[2] == {"expected_em": 0.0, "expected_f1": 0.0, "log_likelihood": math.log(LEAST_LIKELIHOOD)}


def test_a_certain_model_has_the_scores_of_its_answer():
    windows, examples = make_case([(2, 8)], [0], 1)
    starts, ends = np.full((2, 1, 11), -50.0, dtype=np.float32)
    starts[0, 3], ends[0, 4] = 50.0, 50.0
    right = with_answers(examples, [(2, 6)])
    half = with_answers(examples, [(4, 8)])
    (first,) = expect_scores(windows, starts, ends, right, max_answer_tokens=MOST)
    (second,) = expect_scores(windows, starts, ends, half, max_answer_tokens=MOST)
    assert (first["expected_em"], first["expected_f1"]) == pytest.approx((1.0, 1.0))
    assert (second["expected_em"], second["expected_f1"]) == pytest.approx((0.0, 0.5))


def test_a_constant_added_to_a_windows_logits_counts_against_other_windows_alone():
    windows, examples = make_case([(2, 6), (2, 6)], [0, 1], 2)
    examples = with_answers(examples, [(2, 4)], [(14, 16)])
    starts, ends = np.random.default_rng(1).normal(size=(2, 2, 9)).astype(np.float32)
    before = expect_scores(windows, starts, ends, examples, max_answer_tokens=MOST)
    after = expect_scores(windows, starts + np.float32(90.0), ends, examples, max_answer_tokens=MOST)
    assert [row["expected_em"] for row in after] == pytest.approx([row["expected_em"] for row in before], rel=1e-4)


def test_logits_that_say_nothing_expect_nothing():
    windows, examples = make_case([(2, 6)], [0], 1)
    nothing = np.full((1, 9), np.nan, dtype=np.float32)
    (row,) = expect_scores(windows, nothing, nothing, with_answers(examples, [(2, 4)]), max_answer_tokens=MOST)
    assert (row["expected_em"], row["expected_f1"]) == (0.0, 0.0)
