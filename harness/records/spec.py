"""What a worker is given before it begins: its contender, the configuration, and where everything lies."""

from __future__ import annotations

from dataclasses import dataclass

from harness.config import RunConfig


@dataclass(frozen=True, kw_only=True)
class TokenizerFacts:
    """What a worker needs of a tokenizer whose windows lie in the cache."""

    sha256: str
    """Over all that decides which tokens a text has."""
    pad_id: int
    """Number of the padding token."""


@dataclass(frozen=True, kw_only=True)
class TrialSpec:
    """Everything a worker needs to know to get ready; what it is to do then comes as commands."""

    contender: str
    """"baseline", a strategy's name, or a stack "a+b"."""
    seed: int
    config: RunConfig
    directory: str
    """Where the worker's files go: its log, and the job's records."""
    cache_directory: str
    """Tokenised windows, shared by all runs."""
    compile_cache_directory: str
    """Compiler caches of this run, so that the first compile of a run is a cold one."""
    tokenizer: TokenizerFacts | None = None
    """As the parent found it when it made the windows; None: the worker loads the tokenizer."""
    cuda_beside_imports: bool = False
    """Have the driver make the CUDA context before anything of weight is imported."""
    without_meta_kernels: bool = False
    """Import PyTorch without what only compilers need; it follows with them, or after the job."""
