"""Writes the passages of the built-in generator: several things of one kind, each with the same relations stated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from harness.tasks.question_answering.examples import Answer
from harness.tasks.question_answering.tables import (
    TOPICS,
    FactKind,
    Name,
    Topic,
    draw,
    draw_name,
    pick,
    shuffled,
)

_TOKENS_PER_WORD = 0.40
_TOKENS_PER_CHARACTER = 0.145
"""Both fitted to bert-base-uncased on generated passages, where composed names cost more pieces than common words."""
_SHORT_TOKENS = 60
"""Below this, three things with a fact each would leave no choice between relations."""
_SECTION_TOKENS = 300
"""A passage that is longer takes up another topic: one topic has no more than about this to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedFact:
    """One fact that a passage states, and so a question that can be asked on it."""

    thing: Name
    kind: FactKind
    answers: tuple[Answer, ...]
    """The minimal answer first, then the longer wording if there is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A text and what it states."""

    text: str
    facts: tuple[StatedFact, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Claim:
    """One clause to be written: a fact on a thing, or an aside (no kind, no answer)."""

    thing: Name
    kind: FactKind | None
    rank: int
    """Place of the fact in its topic, so that a sentence doesn't tell a death before a birth."""
    pattern: str
    answer: str


def estimate_tokens(text: str) -> float:
    """The number of bert-base-uncased word pieces of a text, estimated from its words and characters."""
    return _TOKENS_PER_WORD * len(text.split()) + _TOKENS_PER_CHARACTER * len(text)


def write_passage(rng: Random, tokens: float) -> Passage:
    """A passage of about `tokens` word pieces, but at least two facts, on one topic or on several if it is long."""
    sections = max(1, math.ceil(tokens / _SECTION_TOKENS))
    topics = shuffled(rng, TOPICS)
    taken: set[str] = set()
    passage = Passage(text="", facts=())
    for section in range(sections):
        topic = topics[section % len(topics)]
        left = (tokens - estimate_tokens(passage.text)) / (sections - section)
        opening = f"{pick(rng, topic.openings)}. " if rng.random() < 0.25 and left > 80 else ""
        claims = _plan(rng, topic, left - estimate_tokens(opening), taken)
        # Relation by relation (a comparison), mixed, or thing by thing (portraits).
        order = rng.random()
        if order >= 0.3:
            claims = shuffled(rng, claims)
        if order >= 0.5:
            things = [claim.thing for claim in claims]
            claims.sort(key=lambda claim: things.index(claim.thing))
        passage = _continue(rng, passage, opening, claims)
    return passage


def _plan(rng: Random, topic: Topic, tokens: float, taken: set[str]) -> list[_Claim]:
    """Claims worth `tokens`, relation by relation, so that nearly every answer has rivals of its type."""
    # Things whose names can't be mistaken for each other; more of them in a longer passage.
    if tokens < _SHORT_TOKENS:
        count = pick(rng, (1, 2))
    else:
        count = 6 if tokens > 260 else 5 if tokens > 210 else pick(rng, (3, 3, 4))
    things: list[Name] = []
    while len(things) < count:
        name = draw_name(rng, topic.naming)
        if name.mark[:4] not in taken:
            taken.add(name.mark[:4])
            things.append(name)
    start = pick(rng, range(*topic.start_years))
    claims: list[_Claim] = []
    named: list[Name] = []
    planned = 0.0
    asides = shuffled(rng, topic.asides)
    # A short passage takes only the first few kinds: each answer type comes once before any comes again.
    kinds = shuffled(rng, topic.facts)
    types = [kind.answer for kind in kinds]
    for place in sorted(range(len(kinds)), key=lambda place: types[:place].count(types[place])):
        for thing in shuffled(rng, things):
            claim = state_fact(rng, thing, topic, kinds[place], start, taken)
            cost = _cost(claim, thing.short if thing in named else thing.full)
            if len(claims) >= 2 and planned + cost / 2 > tokens:
                return claims
            claims.append(claim)
            named.append(thing)
            planned += cost
            if rng.random() < 0.15 and asides and planned + cost < tokens:
                aside = _Claim(thing=pick(rng, things), kind=None, rank=0, pattern=asides.pop(), answer="")
                claims.append(aside)
                planned += _cost(aside, aside.thing.short)
    return claims


def state_fact(rng: Random, thing: Name, topic: Topic, kind: FactKind, start_year: int, taken: set[str]) -> _Claim:
    """A fact on the thing, sometimes with an introduction or an afterthought.

    Its answer, a word, a year, or a quantity with its unit ("212 kilometres"), is one that the passage doesn't hold yet
    and that shares no name with a thing in it, if one is left.
    """
    for _ in range(20):
        if kind.numbers is None:
            answer = draw(rng, kind.answer)
        else:
            first, last, *step = kind.numbers
            number = pick(rng, range(first, last + 1, *step))
            unit = "" if kind.answer == "number" else f" {kind.answer}"
            answer = str(start_year + number) if kind.answer == "year" else f"{number:,}{unit}"
        if answer not in taken and not any(word[:4] in taken for word in answer.split() if word.istitle()):
            break
    taken.add(answer)
    pattern = pick(rng, kind.says)
    chance = rng.random()
    if chance < 0.08 and pattern.startswith("{s} "):
        pattern = draw(rng, "lead") + pattern
    elif chance > 0.93:
        pattern += draw(rng, "tail")
    return _Claim(thing=thing, kind=kind, rank=topic.facts.index(kind), pattern=pattern, answer=answer)


def _cost(claim: _Claim, called: str) -> float:
    return estimate_tokens(_write(claim, called)[0] + ".")


def _continue(rng: Random, passage: Passage, opening: str, claims: Sequence[_Claim]) -> Passage:
    """The passage with these claims written after it."""
    text = f"{passage.text} {opening}".lstrip()
    facts = list(passage.facts)
    introduced: set[str] = set()
    subject: Name | None = None
    for group in _group(rng, claims):
        for claim in group:
            joint = "" if claim is group[0] else " and" if claim.thing is group[0].thing else ", while "
            called = _call(rng, claim, introduced, subject)
            clause, spans = _write(claim, "" if joint == " and" else called)
            if claim is group[0]:
                clause = clause[0].upper() + clause[1:]
            text += joint
            if claim.kind is not None:
                answers = tuple(Answer(text=clause[first:last], start=len(text) + first) for first, last in spans)
                facts.append(StatedFact(thing=claim.thing, kind=claim.kind, answers=answers))
            text += clause
            introduced.add(claim.thing.full)
        text += ". "
        # What a pronoun at the start of the next sentence would be taken for, if there is no doubt.
        thing = group[0].thing
        rivals = thing.pronoun != "it" and any(c.kind is not None and c.kind.answer == "person" for c in group)
        clear = all(claim.thing is thing and "{s}" in claim.pattern for claim in group)
        subject = thing if clear and not rivals else None
    return Passage(text=text.rstrip(), facts=tuple(facts))


def _group(rng: Random, claims: Sequence[_Claim]) -> list[list[_Claim]]:
    """Joins some neighbours into one sentence: two facts on one thing, or one relation of two things."""
    groups: list[list[_Claim]] = []
    for claim in claims:
        last = groups[-1] if groups else []
        joinable = len(last) == 1 and all(
            one.kind is not None and one.pattern.startswith("{s} ") and "," not in one.pattern for one in (*last, claim)
        )
        if joinable:
            first = last[0]
            joinable = first.rank < claim.rank if first.thing is claim.thing else first.kind is claim.kind
        if joinable and rng.random() < 0.3:
            last.append(claim)
        else:
            groups.append([claim])
    return groups


def _call(rng: Random, claim: _Claim, introduced: set[str], subject: Name | None) -> str:
    """How the clause names its thing: in full at first, then shorter or by a pronoun where that is unambiguous."""
    if claim.thing.full not in introduced:
        return claim.thing.full
    if claim.thing is subject and "{n}" not in claim.pattern and rng.random() < 0.2:
        return claim.thing.pronoun
    return claim.thing.short if rng.random() < 0.6 else claim.thing.full


def _write(claim: _Claim, called: str) -> tuple[str, Sequence[tuple[int, int]]]:
    """The clause that a claim becomes, and in it start and end of its answer, then of the longer wording."""
    before, mark, after = claim.pattern.replace("{s}", called).replace("{n}", called).partition("{a}")
    if not mark:
        return before, ()
    wide_start, wide_end = before.find("["), after.find("]")
    before, after = before.replace("[", ""), after.replace("]", "")
    minimal = (len(before), len(before) + len(claim.answer))
    wider = ((wide_start, minimal[1] + wide_end),) if wide_start >= 0 else ()
    return before + claim.answer + after, (minimal, *wider)
