"""Records that the built-in generator's tables are made of: answer types, facts, topics, and the things named in them.

To add a fact kind, add one `FactKind` to the `facts` of a topic in a module beside this one. Patterns are plain text
with these marks:

- `{s}` the thing spoken of, as the subject of the clause; it may be written as a pronoun ("she").
- `{n}` the thing spoken of anywhere else (after "of", before "'s"); always its name.
- `{a}` the answer, exactly once per sentence pattern.
- `[...]` around `{a}`, at most once: a longer wording that is accepted as an answer too ("[the winter of {a}]").

Sentence patterns have no full stop. One that begins with "{s} " and has no comma may be joined with a second one, so
it must still read well after "…, while" and its predicate after "… and".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

T = TypeVar("T")


def pick(rng: Random, choices: Sequence[T]) -> T:
    """One of the choices, each equally likely.

    Built on `random()` alone: Python promises equal sequences across versions for that method only.
    """
    return choices[int(rng.random() * len(choices))]


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """The items in random order, from `random()` alone, as in `pick`."""
    return sorted(items, key=lambda _: rng.random())


def listed(text: str) -> tuple[str, ...]:
    """The words of a text, to write long tables of words without a forest of quotation marks."""
    return tuple(text.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """What a thing is called."""

    full: str
    short: str
    """A second way to name it once it has been introduced (a surname)."""
    mark: str
    """The part that tells it apart from others of its kind ("Becker" in "the Becker Museum")."""
    pronoun: str = "it"


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerType:
    """A set of interchangeable answers, so that any one of them is a distractor for any other."""

    name: str
    draw: Callable[[Random, int], str]
    """Draws one answer; the number is the year around which the history of the thing begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FactKind:
    """One relation between a thing and an answer, with the ways to state it and to ask for it."""

    name: str
    """Unique within its topic."""
    answer: AnswerType
    says: tuple[str, ...]
    """Sentence patterns."""
    asks: tuple[str, ...]
    """Question patterns, with `{n}` and no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A kind of thing that a passage is about."""

    name: str
    naming: Callable[[Random], Name]
    """Draws a name for one more thing of this kind."""
    openings: tuple[str, ...]
    """Whole sentences, without full stop, on the topic at large: no names, no answers."""
    asides: tuple[str, ...]
    """Sentence patterns with `{s}` that hold no answer to any question."""
    facts: tuple[FactKind, ...]
    start_years: tuple[int, int] = (1740, 1870)
    """First and last year in which the history of such a thing may begin; answers of type year count from it."""
