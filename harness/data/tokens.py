"""What of a tokenizer decides which tokens a text has."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@contextlib.contextmanager
def unlimited(tokenizer: PreTrainedTokenizerBase) -> Iterator[Any]:
    """Yield the Rust tokenizer without the truncation and padding that checkpoints carry; restore them afterwards."""
    backend = tokenizer.backend_tokenizer
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        yield backend
    finally:
        backend.no_truncation()
        if truncation:
            backend.enable_truncation(**truncation)
        if padding:
            backend.enable_padding(**padding)


def hash_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a SHA-256 over all of a tokenizer that decides which tokens a text has."""
    with unlimited(tokenizer) as backend:
        return hash_values([backend.to_str()])


def hash_values(values: Iterable[object]) -> str:
    """Return a SHA-256 over values, each with its length in front, which keeps ("ab", "c") and ("a", "bc") apart."""
    digest = hashlib.sha256()
    for value in values:
        data = str(value).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
