"""Which strategies there are: registration, look-up, stacks, and strategies from elsewhere."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from harness.errors import StrategyError
from harness.records.strategy import BOTTLENECKS, DEVICES, HARNESS_PHASES, StrategyRecord
from harness.records.trial import BASELINE
from harness.strategy import Effect, Strategy

BUILTIN_PACKAGE = "optimizations"
"""Imported by name: it depends on this module, not the other way round."""

ENTRY_POINT_GROUP = "speedproof.strategies"
"""An installed distribution that names modules here has them imported, and so its strategies registered."""

DECLARATIONS = (
    ("phase", "phases", HARNESS_PHASES),
    ("bottleneck", "addresses", BOTTLENECKS),
    ("device", "devices", DEVICES),
)
"""(what, class attribute, what there is of it)."""

S = TypeVar("S", bound=type[Strategy])

_strategies: dict[str, type[Strategy]] = {}
_stacks: dict[str, NamedStack] = {}


@dataclass(frozen=True, kw_only=True)
class NamedStack:
    """A stack with a name of its own, which stands for other parts on each kind of device."""

    name: str
    summary: str
    parts: Mapping[str, tuple[str, ...]]
    """By kind of device; those that can't be applied are left out."""


def register(strategy: S) -> S:
    """Class decorator that makes a strategy known under its name; StrategyError if the name is taken or malformed."""
    missing = [name for name in ("name", "summary", "effect", "stage") if not hasattr(strategy, name)]
    if missing:
        raise StrategyError(
            f"strategy class {strategy.__qualname__} has no {', '.join(missing)}",
            remedy="set the class attributes of the contract in harness/strategy.py",
        )
    name = strategy.name
    if not name.isidentifier() or name == BASELINE or name in _stacks:
        raise StrategyError(
            f"strategy name {name!r} can't be used", remedy="use a lower-case identifier that no stack has"
        )
    for what, attribute, known_ones in DECLARATIONS:
        unknown = sorted(set(getattr(strategy, attribute)) - set(known_ones))
        if unknown:
            raise StrategyError(
                f"strategy {name} declares the {what} {unknown[0]!r}", remedy=f"use some of {', '.join(known_ones)}"
            )
    known = _strategies.get(name)
    if known is not None and (known.__module__, known.__qualname__) != (strategy.__module__, strategy.__qualname__):
        raise StrategyError(
            f"two strategies are named {name!r}: {known.__module__} and {strategy.__module__}", remedy="rename one"
        )
    _strategies[name] = strategy
    return strategy


def register_stack(stack: NamedStack) -> None:
    """Make a stack known under its name; StrategyError if that is a strategy's or another stack's, or no name."""
    is_taken = stack.name in (BASELINE, *_strategies) or _stacks.get(stack.name, stack) != stack
    if is_taken or not stack.name.isidentifier():
        raise StrategyError(f"stack name {stack.name!r} is taken or no name", remedy="use another identifier")
    _stacks[stack.name] = stack


def named_stacks() -> tuple[NamedStack, ...]:
    """Return the stacks that have a name of their own, sorted by it."""
    return tuple(_stacks[name] for name in sorted(_stacks))


def spell_out(contender: str, device: str, applies: Callable[[str], bool]) -> str:
    """Return a contender with every named stack in it replaced by those of its parts that apply on that device.

    StrategyError if none does.
    """
    spelled = []
    for part in re.split(r"\s*\+\s*", contender.strip()):
        if part not in _stacks:
            spelled.append(part)
            continue
        parts = [name for name in _stacks[part].parts.get(device, ()) if applies(name)]
        if not parts:
            raise StrategyError(f"nothing of the stack {part!r} can be applied on {device}", remedy="leave it out")
        spelled += parts
    return "+".join(spelled)


def load_all(plugins: tuple[str, ...] = ()) -> None:
    """Import the built-in strategies, those of installed distributions, and `plugins` (modules or .py files)."""
    importlib.import_module(BUILTIN_PACKAGE)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        point.load()
    for plugin in plugins:
        _import_plugin(plugin)


def _import_plugin(plugin: str) -> None:
    try:
        if not plugin.endswith(".py"):
            importlib.import_module(plugin)
            return
        path = Path(plugin).resolve()
        name = f"speedproof_plugin_{path.stem}"
        if name in sys.modules:
            return
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise StrategyError(f"plugin file {plugin} is not there", remedy="check the path")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        raise StrategyError(
            f"plugin {plugin} can't be imported: {error}", remedy="run it with Python to see where"
        ) from error


def names() -> list[str]:
    """Names of all registered strategies, sorted."""
    return sorted(_strategies)


def describe(strategy: type[Strategy]) -> StrategyRecord:
    """Return what a strategy says of itself."""
    return StrategyRecord(
        name=strategy.name,
        summary=strategy.summary,
        effect=strategy.effect.name,
        phases=strategy.phases,
        is_peer=strategy.is_peer,
        addresses=strategy.addresses,
        devices=strategy.devices,
    )


def catalogue() -> tuple[StrategyRecord, ...]:
    """Return what all strategies say of themselves: those first that change least, then in order of application."""
    effects = tuple(Effect)
    ordered = sorted(_strategies.values(), key=lambda one: (effects.index(one.effect), one.stage, one.name))
    return tuple(describe(strategy) for strategy in ordered)


def exclude_each_other(one: type[Strategy] | Strategy, other: type[Strategy] | Strategy) -> bool:
    """Whether two strategies can't be in one stack: either says so."""
    return one.name in other.conflicts or other.name in one.conflicts


def get(name: str) -> type[Strategy]:
    """Return the strategy class `name`; StrategyError with a suggestion if there is none."""
    if name in _strategies:
        return _strategies[name]
    close = difflib.get_close_matches(name, [*names(), *_stacks, BASELINE], n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names())}"
    raise StrategyError(f"there is no strategy {name!r}", remedy=hint)


def resolve(contender: str) -> list[Strategy]:
    """Return the parts of a contender ("baseline", a name, or a stack "a+b") in the order of their application.

    StrategyError for unknown, repeated or conflicting parts, and for a peer that is not alone.
    """
    if contender == BASELINE:
        return []
    parts = [part.strip() for part in contender.split("+")]
    strategies = [get(part)() for part in parts if part != BASELINE]
    if len(set(parts)) < len(parts) or len(strategies) < len(parts):
        raise StrategyError(f"stack {contender!r} names a part twice, or the baseline", remedy="name each part once")
    for strategy in strategies:
        if strategy.is_peer and len(strategies) > 1:
            raise StrategyError(
                f"stack {contender!r}: {strategy.name} is a peer, which brings everything itself",
                remedy="name it alone",
            )
        clashing = sorted(other.name for other in strategies if exclude_each_other(strategy, other))
        if clashing:
            raise StrategyError(
                f"stack {contender!r}: {strategy.name} can't be combined with {clashing[0]}",
                remedy="leave one of them out",
            )
    return sorted(strategies, key=lambda strategy: (strategy.stage, strategy.name))
