"""The span search against the usual nested loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data.windows import Windows
from harness.tasks.question_answering import spans
from harness.tasks.question_answering.examples import Example
from harness.tasks.question_answering.spans import best_answers


def reference_answers(windows, start_logits, end_logits, examples, *, n_best, max_answer_tokens):
    """The loops of the Hugging Face example, with ties broken as `best_answers` documents."""
    answers = []
    for number, item in enumerate(examples):
        candidates = []
        for window in np.flatnonzero(windows.example_index == number):
            offsets = windows.offsets[windows.row(int(window))]
            tokens = range(len(offsets))
            starts = [t for t in tokens if np.isfinite(start_logits[window, t])]
            ends = [t for t in tokens if np.isfinite(end_logits[window, t])]
            for start in sorted(starts, key=lambda t: (-start_logits[window, t], t))[:n_best]:
                for end in sorted(ends, key=lambda t: (-end_logits[window, t], t))[:n_best]:
                    if offsets[start, 0] < 0 or offsets[end, 0] < 0:
                        continue
                    if end < start or end - start + 1 > max_answer_tokens:
                        continue
                    score = float(start_logits[window, start]) + float(end_logits[window, end])
                    candidates.append((-score, window, start, end))
        if not candidates:
            answers.append("")
            continue
        _, window, start, end = min(candidates)
        offsets = windows.offsets[windows.row(int(window))]
        answers.append(item.context[offsets[start, 0] : offsets[end, 1]])
    return answers


def make_case(lengths: list[tuple[int, int]], example_index: list[int], count: int) -> tuple[Windows, list[Example]]:
    """Windows of (question tokens, passage tokens) and a closing token; every token has its own text."""
    rows, position = [], 0
    for question, passage in lengths:
        inside = [[2 * (position + k), 2 * (position + k) + 2] for k in range(passage)]
        rows.append(np.array([[-1, -1]] * question + inside + [[-1, -1]], dtype=np.int32).reshape(-1, 2))
        position += passage
    offsets = np.concatenate(rows) if rows else np.zeros((0, 2), dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    zeros = np.zeros(len(rows), dtype=np.int64)
    windows = Windows(
        input_ids=np.zeros(len(offsets), dtype=np.int32),
        token_type_ids=np.zeros(len(offsets), dtype=np.int8),
        row_starts=starts,
        labels={"start_positions": zeros, "end_positions": zeros},
        example_index=np.array(example_index, dtype=np.int64),
        offsets=offsets,
    )
    context = "".join(chr(0x4E00 + k) for k in range(2 * position + 2))
    return windows, [Example(id=str(k), question="", context=context, answers=()) for k in range(count)]


@st.composite
def cases(draw):
    lengths = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=7))
    count = draw(st.integers(1, 4))
    index = draw(st.lists(st.integers(0, count - 1), min_size=len(lengths), max_size=len(lengths)))
    windows, examples = make_case(lengths, index, count)
    width = int(windows.lengths.max()) + draw(st.integers(0, 3))
    few = st.sampled_from([0.0, 1.0, 2.0])  # ties
    wide = st.floats(-50, 50, width=32)
    broken = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0, float(np.finfo(np.float32).min)])
    values = draw(st.sampled_from([few, wide, broken]))
    size = len(lengths) * width
    logits = [
        np.array(draw(st.lists(values, min_size=size, max_size=size)), dtype=np.float32).reshape(-1, width)
        for _ in range(2)
    ]
    return windows, *logits, examples


@settings(max_examples=400, deadline=None)
@given(case=cases(), n_best=st.integers(1, 20), max_answer_tokens=st.integers(1, 8))
def test_the_search_finds_what_nested_loops_find(case, n_best, max_answer_tokens):
    arguments = {"n_best": n_best, "max_answer_tokens": max_answer_tokens}
    assert best_answers(*case, **arguments) == reference_answers(*case, **arguments)


def test_many_windows_are_searched_in_parts_with_the_same_result(monkeypatch):
    rng = np.random.default_rng(0)
    lengths = [(3, int(n)) for n in rng.integers(5, 60, size=50)]
    windows, examples = make_case(lengths, sorted(rng.integers(0, 20, size=50).tolist()), 20)
    logits = rng.integers(-3, 4, size=(2, 50, 64)).astype(np.float32)
    whole = best_answers(windows, *logits, examples)
    assert whole == reference_answers(windows, *logits, examples, n_best=20, max_answer_tokens=30)
    monkeypatch.setattr(spans, "_CHUNK_WINDOWS", 7)
    assert best_answers(windows, *logits, examples) == whole


def test_the_best_window_of_an_example_wins_and_ties_go_to_the_earliest():
    windows, examples = make_case([(2, 4), (2, 4), (2, 4)], [0, 0, 1], 2)
    starts, ends = np.zeros((2, 3, 7), dtype=np.float32)
    context = examples[0].context
    assert best_answers(windows, starts, ends, examples) == [context[0:2], context[16:18]]
    starts[1, 3] = 1.0
    assert best_answers(windows, starts, ends, examples)[0] == context[10:12]


def test_the_answer_is_the_span_of_the_highest_logits():
    windows, examples = make_case([(2, 6)], [0], 1)
    starts, ends = np.full((2, 1, 9), -5.0, dtype=np.float32)
    starts[0, 3], ends[0, 5] = 9.0, 9.0
    assert best_answers(windows, starts, ends, examples) == [examples[0].context[2:8]]


@pytest.mark.parametrize(("start", "end"), [(0, 4), (4, 0), (5, 3), (2, 7)])
def test_spans_outside_the_passage_backwards_or_too_long_are_never_chosen(start, end):
    windows, examples = make_case([(2, 6)], [0], 1)
    starts, ends = np.full((2, 1, 9), -np.inf, dtype=np.float32)
    starts[0, start], ends[0, end] = 9.0, 9.0
    assert best_answers(windows, starts, ends, examples, max_answer_tokens=5) == [""]


def test_columns_beyond_a_windows_length_are_ignored():
    windows, examples = make_case([(2, 3), (2, 6)], [0, 1], 2)
    starts, ends = np.zeros((2, 2, 9), dtype=np.float32)
    starts[0, 6:], ends[0, 6:] = 99.0, 99.0
    assert best_answers(windows, starts, ends, examples, n_best=3)[0] == examples[0].context[0:2]


def test_logits_that_are_all_nan_answer_nothing():
    windows, examples = make_case([(2, 6)], [0], 1)
    logits = np.full((1, 9), np.nan, dtype=np.float32)
    assert best_answers(windows, logits, logits, examples) == [""]


def test_examples_without_windows_answer_nothing():
    windows, examples = make_case([], [], 2)
    logits = np.zeros((0, 9), dtype=np.float32)
    assert best_answers(windows, logits, logits, examples) == ["", ""]
