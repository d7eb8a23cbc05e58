"""speedproof: profile it, speed it up, prove it."""

from harness.api import profile, run
from harness.config import RunConfig
from harness.version import __version__

__all__ = ["RunConfig", "__version__", "profile", "run"]
