"""From questions to windows: tokens of question and passage, answer labels, and the way back to the characters.

A passage that is too long for one window is cut into several that overlap. Windows are not padded, so that every
padding and packing scheme can be built on them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import DataError
from harness.tasks.question_answering.examples import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FORMAT_VERSION = 2
"""Raised when the same input gives other windows than before, so that older cache files are not used."""

_IDS, _TYPES, _CHAR_STARTS, _CHAR_ENDS = range(4)
"""Rows of a token table, int32 (4, tokens)."""

_LABEL = "label."
"""In front of a label's name where all arrays stand side by side."""

NO_OFFSET = -1
"""Character offset of tokens that are not of the passage."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """All windows of a data set, one after the other without padding; W windows, T tokens in all.

    The windows of one example stand together and in the passage's order.
    """

    input_ids: np.ndarray
    """int32 (T,)."""
    token_type_ids: np.ndarray
    """int8 (T,): what the tokenizer gives; 0 question, 1 passage for BERT's."""
    row_starts: np.ndarray
    """int64 (W+1,): window i has the tokens row_starts[i] to row_starts[i+1]."""
    labels: dict[str, np.ndarray]
    """What the task's loss learns from, each int64 (W,), by name."""
    example_index: np.ndarray
    """int64 (W,): which example the window belongs to."""
    offsets: np.ndarray
    """int32 (T, 2): first character in the passage and the one after the last; -1, -1 for all other tokens."""

    def __len__(self) -> int:
        return len(self.row_starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window, int64 (W,)."""
        return np.diff(self.row_starts)

    def row(self, index: int) -> slice:
        """Return where window `index` lies in the flat arrays: `windows.input_ids[windows.row(3)]`."""
        return slice(int(self.row_starts[index]), int(self.row_starts[index + 1]))

    def arrays(self) -> dict[str, Any]:
        """Return all arrays by name, flat."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "labels"}
        return plain | {f"{_LABEL}{name}": values for name, values in self.labels.items()}

    def select(self, numbers: np.ndarray) -> Windows:
        """Return the windows `numbers`, int (n,), in that order, as a set of their own."""
        tokens = np.concatenate(
            [np.arange(self.row(int(number)).start, self.row(int(number)).stop) for number in numbers]
        )
        return Windows(
            input_ids=self.input_ids[tokens],
            token_type_ids=self.token_type_ids[tokens],
            row_starts=np.concatenate([[0], np.cumsum(self.lengths[numbers])]).astype(np.int64),
            labels={name: values[numbers] for name, values in self.labels.items()},
            example_index=self.example_index[numbers],
            offsets=self.offsets[tokens],
        )


def make_windows(
    examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, *, max_length: int, doc_stride: int
) -> Windows:
    """Return the windows of `examples`; only passages are cut, a question stands whole in each of its windows.

    Args:
        examples: questions; labels come from the first answer, without the white space around it.
        tokenizer: a fast tokenizer, left as it was.
        max_length: tokens of the longest window, question and special tokens included.
        doc_stride: tokens of the passage that two consecutive windows share (`stride` of transformers).

    Raises DataError if a question leaves too little room for its passage. Each passage is tokenised once, not once per
    question (SQuAD: five), which is several times faster than `tokenizer(questions, passages)` and gives the same.
    """
    passages = {text: number for number, text in enumerate(dict.fromkeys(example.context for example in examples))}
    with _unlimited(tokenizer) as backend:
        frame = _read_frame(backend)
        passage_tables = [
            _table(encoding, frame.passage_type, with_offsets=True)
            for encoding in backend.encode_batch(list(passages), add_special_tokens=False)
        ]
        questions = backend.encode_batch([example.question.strip() for example in examples], add_special_tokens=False)
    parts: list[np.ndarray] = []
    rows: list[_Row] = []
    for number, (example, question) in enumerate(zip(examples, questions, strict=True)):
        head = [frame.before, _table(question, frame.question_type), frame.between]
        passage = passage_tables[passages[example.context]]
        for tables, labels in _example_windows(example, head, passage, frame.after, max_length, doc_stride):
            parts += tables
            rows.append((number, sum(table.shape[1] for table in tables), *labels))
    return _assemble(parts, rows)


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
    answer = _answer_tokens(example, passage)
    for first, stop in _cut(length, room, doc_stride):
        labels = (0, 0)
        if answer is not None and first <= answer[0] and answer[1] < stop:
            labels = (head_length + answer[0] - first, head_length + answer[1] - first)
        yield [*head, passage[:, first:stop], after], labels


def _assemble(parts: list[np.ndarray], rows: list[_Row]) -> Windows:
    """Join token tables into flat arrays."""
    tokens = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), dtype=np.int32)
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return Windows(
        input_ids=tokens[_IDS].copy(),
        token_type_ids=tokens[_TYPES].astype(np.int8),
        row_starts=np.concatenate([[0], np.cumsum(table[:, 1])]).astype(np.int64),
        labels={"start_positions": table[:, 2].copy(), "end_positions": table[:, 3].copy()},
        example_index=table[:, 0].copy(),
        offsets=np.ascontiguousarray(tokens[[_CHAR_STARTS, _CHAR_ENDS]].T),
    )


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """What the tokenizer puts around question and passage, as token tables, and the token types of the two."""

    before: np.ndarray
    between: np.ndarray
    after: np.ndarray
    question_type: int
    passage_type: int


def _read_frame(backend: Any) -> _Frame:
    """Look at one encoded pair instead of assuming [CLS] … [SEP] … [SEP]."""
    pair = backend.encode("a", "b")
    special = np.full((4, len(pair.ids)), NO_OFFSET, dtype=np.int32)
    special[_IDS], special[_TYPES] = pair.ids, pair.type_ids
    sequence = pair.sequence_ids
    question, passage = sequence.index(0), sequence.index(1)
    question_stop, passage_stop = question + sequence.count(0), passage + sequence.count(1)
    return _Frame(
        before=special[:, :question],
        between=special[:, question_stop:passage],
        after=special[:, passage_stop:],
        question_type=pair.type_ids[question],
        passage_type=pair.type_ids[passage],
    )


def _table(encoding: Any, token_type: int, *, with_offsets: bool = False) -> np.ndarray:
    table = np.full((4, len(encoding)), NO_OFFSET, dtype=np.int32)
    table[_IDS] = encoding.ids
    table[_TYPES] = token_type
    if with_offsets and len(encoding):
        table[[_CHAR_STARTS, _CHAR_ENDS]] = np.array(encoding.offsets, dtype=np.int32).T
    return table


def _answer_tokens(example: Example, passage: np.ndarray) -> tuple[int, int] | None:
    """Return the first and last token of the first answer within the passage; None if no token belongs to it.

    A token that only partly belongs to the answer counts: word pieces can't be cut.
    """
    if not example.answers:
        return None
    text = example.answers[0].text
    start = example.answers[0].start + len(text) - len(text.lstrip())
    stop = start + len(text.strip())
    first = int(np.searchsorted(passage[_CHAR_ENDS], start, side="right"))
    last = int(np.searchsorted(passage[_CHAR_STARTS], stop, side="left")) - 1
    return (first, last) if first <= last else None


def _cut(length: int, room: int, doc_stride: int) -> list[tuple[int, int]]:
    """Return (first, stop) of the pieces of a passage; the last piece is as short as it comes out."""
    if length <= room:
        return [(0, length)]
    return [(first, min(first + room, length)) for first in range(0, length - doc_stride, room - doc_stride)]


@contextlib.contextmanager
def _unlimited(tokenizer: PreTrainedTokenizerBase) -> Iterator[Any]:
    """Yield the Rust tokenizer without the truncation and padding that checkpoints carry; restore them afterwards."""
    backend = tokenizer.backend_tokenizer
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        yield backend
    finally:
        if truncation:
            backend.enable_truncation(**truncation)
        if padding:
            backend.enable_padding(**padding)


class _Digest:
    """SHA-256 over values, each with its length in front, which keeps ("ab", "c") apart from ("a", "bc")."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, *values: str | int) -> None:
        """Take up the values in order."""
        for value in values:
            data = str(value).encode()
            self._digest.update(len(data).to_bytes(8, "little") + data)

    def finish(self) -> str:
        """Return the digest in hexadecimal."""
        return self._digest.hexdigest()


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a SHA-256 over all of a tokenizer that decides which tokens a text has."""
    digest = _Digest()
    with _unlimited(tokenizer) as backend:
        digest.add(backend.to_str())
    return digest.finish()


def fingerprint(examples: Sequence[Example], tokenizer_sha256: str, *, max_length: int, doc_stride: int) -> str:
    """Return a SHA-256 over everything that decides the windows: questions, tokenizer, settings, FORMAT_VERSION."""
    digest = _Digest()
    digest.add(tokenizer_sha256, FORMAT_VERSION, max_length, doc_stride, len(examples))
    for example in examples:
        digest.add(example.id, example.question, example.context)
        for answer in example.answers[:1]:
            digest.add(answer.start, answer.text)
    return digest.finish()


def save_windows(path: Path, windows: Windows) -> None:
    """Write the windows as .npz, atomically (temporary file, then rename); OSError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **windows.arrays())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_windows(path: Path) -> Windows | None:
    """Read what `save_windows` wrote; None if the file isn't there, is damaged, or doesn't hold windows."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        labels = {name.removeprefix(_LABEL): arrays.pop(name) for name in list(arrays) if name.startswith(_LABEL)}
        windows = Windows(**arrays, labels=labels)
    except (OSError, EOFError, KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile):
        return None
    return windows if _is_consistent(windows) else None


def _is_consistent(windows: Windows) -> bool:
    starts = windows.row_starts
    if starts.ndim != 1 or len(starts) == 0 or starts[0] != 0 or np.any(np.diff(starts) < 1):
        return False
    count, tokens = len(windows), (int(starts[-1]),)
    shapes = {
        "input_ids": tokens,
        "token_type_ids": tokens,
        "offsets": (*tokens, 2),
        "example_index": (count,),
    }
    return all(getattr(windows, name).shape == shape for name, shape in shapes.items()) and all(
        values.shape == (count,) for values in windows.labels.values()
    )


def cached_windows(
    examples: Sequence[Example],
    load_tokenizer: Callable[[], PreTrainedTokenizerBase],
    tokenizer_sha256: str,
    *,
    max_length: int,
    doc_stride: int,
    cache_directory: Path,
) -> tuple[Windows, bool]:
    """Return `make_windows(…)`, from the cache if it holds them; the second value says whether it did.

    The tokenizer is loaded only if it doesn't. A damaged cache file is replaced; a cache that can't be written is done
    without.
    """
    digest = fingerprint(examples, tokenizer_sha256, max_length=max_length, doc_stride=doc_stride)
    path = cache_directory / f"windows-{digest}.npz"
    cached = load_windows(path)
    if cached is not None:
        return cached, True
    windows = make_windows(examples, load_tokenizer(), max_length=max_length, doc_stride=doc_stride)
    # A read-only home directory costs time, not the run.
    with contextlib.suppress(OSError):
        save_windows(path, windows)
    return windows, False
