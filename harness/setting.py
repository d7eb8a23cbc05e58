"""A field of the configuration, described where it stands: its option on the command line, the numbers it may be."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from harness.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field is beside its type and default."""

    option: str | None = None
    """As the command line calls it; a switch gets a `--no-…` beside it."""
    help: str | None = None
    metavar: str | None = None
    """What the help shows for a value, where its type says too little."""
    at_least: float | None = None
    above: float | None = None
    below: float | None = None


def setting(
    default: T,
    option: str | None = None,
    help: str | None = None,
    *,
    metavar: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> T:
    """Return a dataclass field with its description."""
    described = Setting(option=option, help=help, metavar=metavar, at_least=at_least, above=above, below=below)
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


def require(ok: bool, message: str, remedy: str) -> None:
    """ConfigError unless `ok`."""
    if not ok:
        raise ConfigError(message, remedy=remedy)


def check_values(config: Any, path: str = "") -> None:
    """ConfigError that names the first field whose value is none of its choices or beyond its bounds."""
    for name, (kind, described) in settings_of(cast(Any, type(config))).items():
        value, says = getattr(config, name), f"{path}{name}"
        if typing.get_origin(kind) is Literal:
            choices = typing.get_args(kind)
            require(value in choices, f"{says} is {value!r}", f"use {', '.join(choices[:-1])} or {choices[-1]}")
        if value is None:
            continue
        wanted = [
            (described.at_least is None or value >= described.at_least, "at least", described.at_least),
            (described.above is None or value > described.above, "more than", described.above),
            (described.below is None or value < described.below, "less than", described.below),
        ]
        remedy = " and ".join(f"{words} {bound:g}" for _, words, bound in wanted if bound is not None)
        require(all(ok for ok, _, _ in wanted), f"{says} is {value}", f"give {remedy}")
