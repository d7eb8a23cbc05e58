"""Dataclasses from plain JSON or TOML data, checked field by field; and data as strict JSON can hold it."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Hashable
from typing import Any, Literal, TypeVar, cast

from harness.errors import ConfigError

T = TypeVar("T")

_type_hints = functools.cache(typing.get_type_hints)
"""Looking them up takes far longer than building a record, and a run has many thousands of steps."""


def build(cls: type[T], data: Any, path: str = "") -> T:
    """Build the dataclass `cls` from what `dataclasses.asdict` made of it and JSON carried.

    Raises ConfigError that names the field if one is unknown, missing or of the wrong type.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{path.rstrip('.') or cls.__name__} is {data!r}", remedy="give a table of settings")
    hints = _type_hints(cast(Hashable, cls))
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise ConfigError(f"unknown setting {path}{unknown[0]}", remedy=f"known here: {', '.join(sorted(hints))}")
    values = {name: _convert(hints[name], value, f"{path}{name}") for name, value in data.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{path or cls.__name__}: {error}", remedy="add the missing setting") from None


def _convert(hint: Any, value: Any, path: str) -> Any:
    """Return `value` as the type `hint` asks for; JSON knows neither tuples nor dataclasses."""
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, f"{path}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        inner = [kind for kind in arguments if kind is not type(None)]
        if value is None and len(inner) < len(arguments):
            return None
        if len(inner) == 1:
            return _convert(inner[0], value, path)
        return _checked(tuple(arguments), value, path)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{path} is {value!r}", remedy=f"use {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        items = _checked((list, tuple), value, path)
        return tuple(_convert(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(items))
    if origin is dict:
        table = _checked((dict,), value, path)
        return {key: _convert(arguments[1], item, f"{path}.{key}") for key, item in table.items()}
    return _checked((hint,), value, path)


def _checked(allowed: tuple[Any, ...], value: Any, path: str) -> Any:
    if float in allowed and type(value) is int:
        return float(value)
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        wanted = " or ".join("none" if kind is type(None) else kind.__name__ for kind in allowed)
        raise ConfigError(f"{path} is {value!r}", remedy=f"give {wanted}")
    return value


def override(config: T, changes: dict[str, Any]) -> T:
    """Return `config` with dotted fields changed, e.g. {"training.epochs": 3}; all are checked together."""
    data = dataclasses.asdict(cast(Any, config))
    for dotted, value in changes.items():
        target = data
        *parents, leaf = dotted.split(".")
        for parent in parents:
            target = target.get(parent, {})
        if leaf not in target:
            raise ConfigError(f"unknown setting {dotted!r}", remedy="see harness/config.py for the names")
        target[leaf] = value
    return build(type(config), data)


def plain(value: Any) -> Any:
    """Return data of dictionaries, lists and numbers as strict JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
