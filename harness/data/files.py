"""Reading the user's files: what goes wrong is one line that names the file and says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.errors import DataError


def read_text(path: Path, form: str) -> str:
    """Return a UTF-8 text file's contents; DataError if they can't be had. `form` is what it should be, in words."""
    try:
        # utf-8-sig: Windows editors like to put a byte order mark in front.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", remedy="check --train-file and --validation-file") from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}", remedy="give a readable file") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}", remedy="save the file as UTF-8"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty", remedy=f"give {form}")
    return text


def parse_json(text: str, path: Path, *, first_line: int = 1) -> Any:
    """Return the value that a JSON text of the file holds; DataError names the place. The text begins at a line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        raise DataError(
            f"{path} is not valid JSON: {error.msg} at line {line}, column {error.colno}",
            remedy="correct that place, or fetch the file again",
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: {error}", remedy="fetch the file again") from None
