"""speedproof: profile it, speed it up, prove it."""

from harness.api import profile, run
from harness.config import RunConfig

__version__ = "0.1.0"

__all__ = ["RunConfig", "__version__", "profile", "run"]
