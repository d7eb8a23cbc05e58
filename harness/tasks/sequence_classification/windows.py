"""From texts to windows: one each, cut off at the longest length there may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.config import DataConfig
from harness.data.tokens import unlimited
from harness.data.windows import Windows
from harness.tasks.sequence_classification.examples import Example

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LABEL = "labels"
"""The class's number."""


def make_windows(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase, data: DataConfig) -> Windows:
    """Return one window for each text, of `max_length` tokens at most, special tokens included."""
    with unlimited(tokenizer) as backend:
        backend.enable_truncation(data.max_length)
        encodings = backend.encode_batch([example.text for example in examples])
    lengths = [len(encoding) for encoding in encodings]
    return Windows(
        input_ids=np.array([token for encoding in encodings for token in encoding.ids], dtype=np.int32),
        token_type_ids=np.array([kind for encoding in encodings for kind in encoding.type_ids], dtype=np.int8),
        row_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels={LABEL: np.array([example.classes.index(example.label) for example in examples], dtype=np.int64)},
        example_index=np.arange(len(examples), dtype=np.int64),
        offsets=np.full((sum(lengths), 2), -1, dtype=np.int32),
    )
