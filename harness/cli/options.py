"""Options of commands: those that the configuration's fields describe, and a type that several commands share."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.models import OptionInfo

from harness.config import RunConfig
from harness.setting import all_settings

RunsDirectory = Annotated[Path, typer.Option("--runs-dir", help="Where runs are kept.")]

Function = Callable[..., None]

SETTINGS = {name: (kind, described) for name, kind, described in all_settings(RunConfig)}
"""By dotted name: type and description."""


def option_of(name: str) -> OptionInfo:
    """Return the option of a setting that has one."""
    kind, described = SETTINGS[name]
    option = described.option or ""
    declaration = f"{option}/--no-{option.removeprefix('--')}" if kind is bool else option
    return cast(OptionInfo, typer.Option(declaration, help=described.help, metavar=described.metavar))


def with_settings(*, without: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """Give a command an option for each setting that has one, in the place of its parameter `settings`.

    That gets the options' values by the settings' dotted names, None where one was not given. `without` holds the
    beginnings of names that the command leaves out, as it decides them itself.
    """
    options = {
        name: inspect.Parameter(
            name.replace(".", "__"),
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            # A tuple's option is given once for each value.
            annotation=Annotated[(list[str] if typing.get_origin(kind) is tuple else kind) | None, option_of(name)],
        )
        for name, (kind, described) in SETTINGS.items()
        if described.option is not None and not name.startswith(without)
    }

    def decorate(command: Function) -> Function:
        @functools.wraps(command)
        def with_options(**given: Any) -> None:
            settings = {name: given.pop(option.name) for name, option in options.items()}
            command(**given, settings=settings)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            parameters += options.values() if parameter.name == "settings" else [parameter]
        # typer looks at the signature and at the annotations.
        vars(with_options)["__signature__"] = inspect.Signature(parameters)
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate
