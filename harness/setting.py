"""A field of the configuration, described where it stands: its option on the command line, the numbers it may be."""

from __future__ import annotations

import dataclasses
import functools
import operator
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

T = TypeVar("T")

BOUNDS = {
    "at_least": (operator.ge, "at least"),
    "above": (operator.gt, "more than"),
    "below": (operator.lt, "less than"),
}
"""What may be said of a number: how it is checked, and in words."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field is beside its type and default."""

    option: str | None = None
    """As the command line calls it; a switch gets a `--no-…` beside it."""
    help: str | None = None
    metavar: str | None = None
    """What the help shows for a value, where its type says too little."""
    bounds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """By their names in `BOUNDS`."""


def setting(
    default: T, option: str | None = None, help: str | None = None, *, metavar: str | None = None, **bounds: float
) -> T:
    """Return a dataclass field with its description."""
    described = Setting(option=option, help=help, metavar=metavar, bounds=bounds)
    return dataclasses.field(default=default, metadata={"setting": described})


@functools.cache
def settings_of(cls: Any) -> dict[str, tuple[Any, Setting]]:
    """Return the fields of a configuration by name: type and description."""
    hints = typing.get_type_hints(cls)
    return {one.name: (hints[one.name], one.metadata.get("setting", Setting())) for one in dataclasses.fields(cls)}


def all_settings(cls: Any, path: str = "") -> Iterator[tuple[str, Any, Setting]]:
    """Yield the fields of a configuration and of its parts: dotted name, type and description."""
    for name, (kind, described) in settings_of(cls).items():
        if dataclasses.is_dataclass(kind):
            yield from all_settings(kind, f"{path}{name}.")
        else:
            yield f"{path}{name}", kind, described


def wrong_values(config: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield what is wrong, and what to do, for each field whose value is none of its choices or beyond its bounds."""
    for name, (kind, described) in settings_of(cast(Any, type(config))).items():
        value, says = getattr(config, name), f"{path}{name}"
        if typing.get_origin(kind) is Literal:
            *others, last = typing.get_args(kind)
            if value not in (*others, last):
                yield f"{says} is {value!r}", f"use {', '.join(others)} or {last}"
        bounds = [(*BOUNDS[how], bound) for how, bound in described.bounds.items()]
        if value is not None and not all(holds(value, bound) for holds, _, bound in bounds):
            yield f"{says} is {value}", f"give {' and '.join(f'{words} {bound:g}' for _, words, bound in bounds)}"
