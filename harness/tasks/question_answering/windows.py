"""From questions to windows: tokens of question and passage, answer labels, and the way back to the characters.

A passage that is too long for one window is cut into several that overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.data.tokens import unlimited
from harness.data.windows import Windows
from harness.errors import DataError
from harness.tasks.question_answering.examples import Example
from harness.tasks.question_answering.head import LABELS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_IDS, _TYPES, _CHAR_STARTS, _CHAR_ENDS = range(4)
"""Rows of a token table, int32 (4, tokens)."""

NO_OFFSET = -1
"""Character offset of tokens that are not of the passage."""


def make_windows(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, *, max_length: int, doc_stride: int
) -> Windows:
    """Return the windows of `examples`; only passages are cut, a question stands whole in each of its windows.

    Labels come from the first answer, without the white space around it. The tokenizer is a fast one, left as it was.
    `max_length` counts special tokens too; `doc_stride` tokens of the passage are shared by two consecutive windows.

    Raises DataError if a question leaves too little room for its passage. Each passage is tokenised once, not once per
    question (SQuAD: five), which is several times faster than `tokenizer(questions, passages)` and gives the same.
    """
    passages = {text: number for number, text in enumerate(dict.fromkeys(example.context for example in examples))}
    with unlimited(tokenizer) as backend:
        (before, between, after), (question_type, passage_type) = _read_frame(backend)
        passage_tables = [
            _table(encoding, passage_type, with_offsets=True)
            for encoding in backend.encode_batch(list(passages), add_special_tokens=False)
        ]
        questions = backend.encode_batch([example.question.strip() for example in examples], add_special_tokens=False)
    parts: list[np.ndarray] = []
    rows: list[_Row] = []
    for number, (example, question) in enumerate(zip(examples, questions, strict=True)):
        head = [before, _table(question, question_type), between]
        passage = passage_tables[passages[example.context]]
        for tables, labels in _example_windows(example, head, passage, after, max_length, doc_stride):
            parts += tables
            rows.append((number, sum(table.shape[1] for table in tables), *labels))
    tokens = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), dtype=np.int32)
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Windows(
        input_ids=tokens[_IDS].copy(),
        token_type_ids=tokens[_TYPES].astype(np.int8),
        row_starts=np.concatenate([[0], np.cumsum(table[:, 1])]).astype(np.int64),
        labels={name: table[:, column].copy() for column, name in enumerate(LABELS, start=2)},
        example_index=table[:, 0].copy(),
        offsets=np.ascontiguousarray(tokens[[_CHAR_STARTS, _CHAR_ENDS]].T),
    )


_Row = tuple[int, int, int, int]  # a window's example, length, start and end label


def _example_windows(
    example: Example, head: list[np.ndarray], passage: np.ndarray, after: np.ndarray, max_length: int, doc_stride: int
) -> Iterator[tuple[list[np.ndarray], tuple[int, int]]]:
    """Yield the token tables of each window of one example, and its start and end label."""
    head_length, length = sum(table.shape[1] for table in head), passage.shape[1]
    room = max_length - head_length - after.shape[1]
    if length > room and room <= doc_stride:
        raise DataError(
            f"question {example.id!r} takes {head[1].shape[1]} tokens; that leaves {max(room, 0)} of each window for "
            f"the passage of {length} tokens, and windows share {doc_stride}",
            remedy="raise --max-length, lower --doc-stride, or leave the question out",
        )
    answer = None
    if example.answers:
        text = example.answers[0].text
        start = example.answers[0].start + len(text) - len(text.lstrip())
        stop = start + len(text.strip())
        # A token that only partly belongs to the answer counts: word pieces can't be cut. There may be none at all.
        first = int(np.searchsorted(passage[_CHAR_ENDS], start, side="right"))
        last = int(np.searchsorted(passage[_CHAR_STARTS], stop, side="left")) - 1
        answer = (first, last) if first <= last else None
    # The last piece is as short as it comes out.
    for first in range(0, length - doc_stride, room - doc_stride) if length > room else (0,):
        stop = min(first + room, length)
        labels = (0, 0)
        if answer is not None and first <= answer[0] and answer[1] < stop:
            labels = (head_length + answer[0] - first, head_length + answer[1] - first)
        yield [*head, passage[:, first:stop], after], labels


def _read_frame(backend: Any) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], tuple[int, int]]:
    """Return what the tokenizer puts before, between and after question and passage, and the token types of the two.

    One encoded pair is looked at instead of assuming [CLS] … [SEP] … [SEP].
    """
    pair = backend.encode("a", "b")
    special = np.full((4, len(pair.ids)), NO_OFFSET, dtype=np.int32)
    special[_IDS], special[_TYPES] = pair.ids, pair.type_ids
    sequence = pair.sequence_ids
    question, passage = sequence.index(0), sequence.index(1)
    question_stop, passage_stop = question + sequence.count(0), passage + sequence.count(1)
    around = special[:, :question], special[:, question_stop:passage], special[:, passage_stop:]
    return around, (pair.type_ids[question], pair.type_ids[passage])


def _table(encoding: Any, token_type: int, *, with_offsets: bool = False) -> np.ndarray:
    table = np.full((4, len(encoding)), NO_OFFSET, dtype=np.int32)
    table[_IDS] = encoding.ids
    table[_TYPES] = token_type
    if with_offsets and len(encoding):
        table[[_CHAR_STARTS, _CHAR_ENDS]] = np.array(encoding.offsets, dtype=np.int32).T
    return table
