"""What the built-in generator writes about: `topics.json` and `words.json` beside this module, and how names are drawn.

To add a fact kind, add one to the `facts` of a topic in `topics.json`, or the name of one of its `shared facts`. Its
`answer` is a rule of `words.json` or, with `numbers` (first, last and perhaps the step), their unit, "year", or
"number" where the sentence names what it counts. Its patterns are plain text with these marks:

- `{s}` the thing spoken of, as the subject of the clause; it may be written as a pronoun ("she").
- `{n}` the thing spoken of anywhere else (after "of", before "'s"); always its name.
- `{a}` the answer, exactly once per sentence pattern.
- `[...]` around `{a}`, at most once: a longer wording that is accepted as an answer too ("[the winter of {a}]").

Sentence patterns have no full stop. One that begins with "{s} " and has no comma may be joined with a second one, so
it must still read well after "…, while" and its predicate after "… and".

A rule of `words.json` is a list to pick from, a pattern of other rules ("{place}{town end}"), or a naming. A naming
has a pattern for each field of a `Name`, drawn in the order written, in which `{mark}` is what that field has become;
double braces wait for a second round ("{{first name, {pronoun}}}"). A list of answers holds at least twelve, so that
one passage rarely runs out of different ones. The list `place` is of common words, so that the part which tells two
names apart is one word piece.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """What a thing is called."""

    full: str
    short: str
    """A second way to name it once it has been introduced (a surname)."""
    mark: str
    """The part that tells it apart from others of its kind ("Becker" in "the Becker Museum")."""
    pronoun: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FactKind:
    """One relation between a thing and an answer, with the ways to state it and to ask for it."""

    name: str
    """Unique within its topic."""
    answer: str
    """The type of its answers: any one is a distractor for any other of the same type."""
    says: Sequence[str]
    """Sentence patterns."""
    asks: Sequence[str]
    """Question patterns, with `{n}` and no answer."""
    numbers: Sequence[int] | None = None
    """First, last and step of answers that are numbers; years count from when the thing's history begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A kind of thing that a passage is about."""

    name: str
    naming: Mapping[str, str]
    """Patterns for the fields of a `Name`; in the file, also the name of a rule that holds them."""
    openings: Sequence[str]
    """Whole sentences, without full stop, on the topic at large: no names, no answers."""
    asides: Sequence[str]
    """Sentence patterns with `{s}` that hold no answer to any question."""
    facts: Sequence[FactKind]
    start_years: Sequence[int] = (1740, 1870)
    """The history of such a thing begins in the first of these years or later, but before the second."""


class _Words(dict[str, str]):
    """The fields of a name; any other word is drawn, each time, by the rule of that name."""

    def __init__(self, rng: Random) -> None:
        super().__init__()
        self.rng = rng

    def __missing__(self, rule: str) -> str:
        return draw(self.rng, rule)


def pick(rng: Random, choices: Sequence[T]) -> T:
    """One of the choices, each equally likely.

    Built on `random()` alone: Python promises equal sequences across versions for that method only.
    """
    return choices[int(rng.random() * len(choices))]


def shuffled(rng: Random, items: Sequence[T]) -> list[T]:
    """The items in random order, from `random()` alone, as in `pick`."""
    return sorted(items, key=lambda _: rng.random())


def draw(rng: Random, rule: str) -> str:
    """A word, or the full name of a thing, by a rule of `words.json`."""
    content = _RULES[rule]
    if isinstance(content, list):
        return pick(rng, content)
    return content.format_map(_Words(rng)) if isinstance(content, str) else draw_name(rng, content).full


def draw_name(rng: Random, naming: Mapping[str, str]) -> Name:
    """One more thing of a kind."""
    words = _Words(rng)
    for field, pattern in naming.items():
        words[field] = pattern
        while "{" in words[field]:
            words[field] = words[field].format_map(words)
    return Name(full=words["full"], short=words["short"], mark=words["mark"], pronoun=words.get("pronoun", "it"))


def _read(file: str) -> Any:
    return json.loads(Path(__file__).with_name(file).read_text(encoding="utf-8"))


_RULES: dict[str, list[str] | str | dict[str, str]] = _read("words.json")
_CONTENT = _read("topics.json")
_SHARED = {fact["name"]: FactKind(**fact) for fact in _CONTENT["shared facts"]}

TOPICS = tuple(
    Topic(
        **topic
        | {
            "naming": topic["naming"] if isinstance(topic["naming"], dict) else _RULES[topic["naming"]],
            "facts": tuple(_SHARED[fact] if isinstance(fact, str) else FactKind(**fact) for fact in topic["facts"]),
        }
    )
    for topic in _CONTENT["topics"]
)
