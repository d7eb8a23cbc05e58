"""Writes the passages of the built-in generator: several things of one kind, each with the same relations stated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from harness.tasks.question_answering.examples import Answer
from harness.tasks.question_answering.tables import TOPICS
from harness.tasks.question_answering.tables.schema import FactKind, Name, Topic, pick, shuffled

_LEADS = (
    "According to the local records, ",
    "As far as we know, ",
    "Guidebooks rarely mention that ",
    "Historians agree that ",
    "It is well documented that ",
    "By all accounts, ",
    "Older sources state that ",
    "Few people know that ",
)
_TAILS = (
    ", as the archives show",
    ", as every local child knows",
    ", or so the records say",
    ", according to an old register",
    ", as a small plaque recalls",
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clause:
    """A written clause; the spans (start and end offsets in its text) are the wordings of its answer."""

    text: str
    spans: tuple[tuple[int, int], ...]


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
        passage = _continue(rng, passage, opening, _arrange(rng, claims))
    return passage


def _plan(rng: Random, topic: Topic, tokens: float, taken: set[str]) -> list[_Claim]:
    """Claims worth `tokens`, relation by relation, so that nearly every answer has rivals of its type."""
    things = _draw_things(rng, topic, tokens, taken)
    start = pick(rng, range(*topic.start_years))
    claims: list[_Claim] = []
    named: list[Name] = []
    planned = 0.0
    asides = shuffled(rng, topic.asides)
    for rank, kind in _order_kinds(rng, topic):
        for thing in shuffled(rng, things):
            answer = _draw_answer(rng, kind, start, taken)
            claim = _Claim(thing=thing, kind=kind, rank=rank, pattern=_vary(rng, pick(rng, kind.says)), answer=answer)
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


def _order_kinds(rng: Random, topic: Topic) -> list[tuple[int, FactKind]]:
    """The topic's facts with their ranks, at random but each answer type once before any comes again.

    A short passage takes only the first few, and those should differ in what they are asked for with.
    """
    seen: Counter[str] = Counter()
    rounds: list[tuple[int, int, FactKind]] = []
    for rank, kind in shuffled(rng, tuple(enumerate(topic.facts))):
        rounds.append((seen[kind.answer.name], rank, kind))
        seen[kind.answer.name] += 1
    return [(rank, kind) for _, rank, kind in sorted(rounds, key=lambda entry: entry[0])]


def _count_things(rng: Random, tokens: float) -> int:
    """How many things a passage compares; a very short one has room for one or two with more than one fact each."""
    if tokens < _SHORT_TOKENS:
        return pick(rng, (1, 2))
    return 6 if tokens > 260 else 5 if tokens > 210 else pick(rng, (3, 3, 4))


def _draw_things(rng: Random, topic: Topic, tokens: float, taken: set[str]) -> list[Name]:
    """Things of one kind whose names can't be mistaken for each other."""
    count = _count_things(rng, tokens)
    things: list[Name] = []
    while len(things) < count:
        name = topic.naming(rng)
        if name.mark[:4] not in taken:
            taken.add(name.mark[:4])
            things.append(name)
    return things


def _draw_answer(rng: Random, kind: FactKind, start_year: int, taken: set[str]) -> str:
    """An answer that the passage doesn't hold yet and that shares no name with a thing in it, if one is left."""
    for _ in range(20):
        answer = kind.answer.draw(rng, start_year)
        if answer not in taken and not any(word[:4] in taken for word in answer.split() if word.istitle()):
            break
    taken.add(answer)
    return answer


def _vary(rng: Random, pattern: str) -> str:
    """The pattern, sometimes with an introduction or an afterthought."""
    chance = rng.random()
    if chance < 0.08 and pattern.startswith("{s} "):
        return pick(rng, _LEADS) + pattern
    return pattern + pick(rng, _TAILS) if chance > 0.93 else pattern


def _cost(claim: _Claim, called: str) -> float:
    return estimate_tokens(_fill(claim.pattern, called, claim.answer).text + ".")


def _arrange(rng: Random, claims: Sequence[_Claim]) -> list[_Claim]:
    """Thing by thing (portraits), relation by relation (a comparison), or mixed."""
    order = rng.random()
    if order < 0.3:
        return list(claims)
    mixed = shuffled(rng, claims)
    if order < 0.5:
        return mixed
    rank: dict[str, int] = {}
    for claim in mixed:
        rank.setdefault(claim.thing.full, len(rank))
    return sorted(mixed, key=lambda claim: rank[claim.thing.full])


def _continue(rng: Random, passage: Passage, opening: str, claims: Sequence[_Claim]) -> Passage:
    """The passage with these claims written after it."""
    text = f"{passage.text} {opening}".lstrip() if passage.text else opening
    located: list[tuple[_Claim, list[tuple[int, int]]]] = []
    introduced: set[str] = set()
    subject: Name | None = None
    for group in _group(rng, claims):
        sentence = ""
        for claim in group:
            joint = "" if not sentence else " and " if claim.thing is group[0].thing else ", while "
            pattern = claim.pattern.removeprefix("{s} ") if joint == " and " else claim.pattern
            clause = _fill(pattern, _call(rng, claim, introduced, subject), claim.answer)
            start = len(text) + len(sentence) + len(joint)
            located.append((claim, [(start + first, start + last) for first, last in clause.spans]))
            sentence += joint + clause.text
            introduced.add(claim.thing.full)
        text += f"{sentence[0].upper()}{sentence[1:]}. "
        subject = _clear_subject(group)
    facts = [
        StatedFact(thing=claim.thing, kind=claim.kind, answers=tuple(Answer(text=text[a:b], start=a) for a, b in spans))
        for claim, spans in located
        if claim.kind is not None
    ]
    return Passage(text=text.rstrip(), facts=(*passage.facts, *facts))


def _group(rng: Random, claims: Sequence[_Claim]) -> list[list[_Claim]]:
    """Joins some neighbours into one sentence: two facts on one thing, or one relation of two things."""
    groups: list[list[_Claim]] = []
    for claim in claims:
        last = groups[-1] if groups else []
        if len(last) == 1 and _joinable(last[0], claim) and rng.random() < 0.3:
            last.append(claim)
        else:
            groups.append([claim])
    return groups


def _joinable(first: _Claim, second: _Claim) -> bool:
    if any(c.kind is None or not c.pattern.startswith("{s} ") or "," in c.pattern for c in (first, second)):
        return False
    if first.thing is second.thing:
        return first.rank < second.rank
    return first.kind is second.kind


def _clear_subject(group: Sequence[_Claim]) -> Name | None:
    """The thing that a pronoun at the start of the next sentence would be taken for, if there is no doubt."""
    thing = group[0].thing
    for claim in group:
        second_person = thing.pronoun != "it" and claim.kind is not None and claim.kind.answer.name == "person"
        if claim.thing is not thing or "{s}" not in claim.pattern or second_person:
            return None
    return thing


def _call(rng: Random, claim: _Claim, introduced: set[str], subject: Name | None) -> str:
    """How the clause names its thing: in full at first, then shorter or by a pronoun where that is unambiguous."""
    if claim.thing.full not in introduced:
        return claim.thing.full
    if claim.thing is subject and "{n}" not in claim.pattern and rng.random() < 0.2:
        return claim.thing.pronoun
    return claim.thing.short if rng.random() < 0.6 else claim.thing.full


def _fill(pattern: str, called: str, answer: str) -> _Clause:
    """Puts names and answer into the pattern and takes its brackets out."""
    before, mark, after = pattern.replace("{s}", called).replace("{n}", called).partition("{a}")
    if not mark:
        return _Clause(text=before, spans=())
    wide_start, wide_end = before.find("["), after.find("]")
    before, after = before.replace("[", ""), after.replace("]", "")
    minimal = (len(before), len(before) + len(answer))
    wider = ((wide_start, minimal[1] + wide_end),) if wide_start >= 0 else ()
    return _Clause(text=before + answer + after, spans=(minimal, *wider))
