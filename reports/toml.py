"""A configuration as TOML that `speedproof run --config` reads."""

from __future__ import annotations

import json
import re
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that needs no quotes."""


def to_toml(config: dict[str, Any]) -> str:
    """Return the configuration as TOML; settings that are none, which TOML can't hold, become comments."""
    lines = [_line(key, value) for key, value in config.items() if not isinstance(value, dict)]
    for name, part in config.items():
        if isinstance(part, dict):
            lines += ["", f"[{name}]", *(_line(key, value) for key, value in part.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any) -> str:
    return f"# {key} is not set" if value is None else f"{key} = {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        keys = {key: key if _BARE.fullmatch(key) else json.dumps(key) for key in value}
        return "{" + ", ".join(f"{keys[key]} = {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # JSON's strings, booleans and numbers are TOML's too.
    return json.dumps(value, ensure_ascii=False)
