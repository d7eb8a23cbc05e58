"""Topics of the built-in generator: expeditions, festivals."""

from __future__ import annotations

from random import Random

from harness.tasks.question_answering.tables.schema import FactKind, Name, Topic, pick
from harness.tasks.question_answering.tables.values import PERSON, TOWN, number, surname, town_name, year
from harness.tasks.question_answering.tables.words import DISHES, GOALS, MONTHS


def _expedition(rng: Random) -> Name:
    first, second = surname(rng), surname(rng)
    return Name(full=f"the {first} and {second} Expedition", short=f"the {first} Expedition", mark=first)


def _festival(rng: Random) -> Name:
    town = town_name(rng)
    kind = pick(rng, ("Festival", "Fair"))
    return Name(full=f"the {town} {kind}", short=f"the {town} {kind}", mark=town)


EXPEDITION = Topic(
    name="expedition",
    naming=_expedition,
    openings=(
        "The geographical society paid for a series of journeys into unmapped country",
        "Maps of the interior stayed almost empty for another generation",
    ),
    asides=(
        "{s} lost most of its sledges in a storm",
        "{s} brought home crates of plants and stones",
        "Letters show that {s} was close to turning back",
    ),
    facts=(
        FactKind(
            name="leader",
            answer=PERSON,
            says=("{s} was led by {a}", "{s} set out under {a}", "{a} was the leader of {n}"),
            asks=("Who led {n}?", "Who was the leader of {n}?", "Under whom did {n} set out?"),
        ),
        FactKind(
            name="departure year",
            answer=year(0, 30),
            says=("{s} departed in {a}", "{s} set out in [the spring of {a}]", "In {a}, {s} departed with two ships"),
            asks=("When did {n} depart?", "In what year did {n} set out?", "In which year did {n} depart?"),
        ),
        FactKind(
            name="port",
            answer=TOWN,
            says=("{s} started from {a}", "{s} left from [the port of {a}]", "{a} was the starting point of {n}"),
            asks=("Where did {n} start from?", "From which port did {n} leave?", "What was the starting point of {n}?"),
        ),
        FactKind(
            name="goal",
            answer=GOALS,
            says=("{s} was looking for {a}", "{s} hoped to find {a}", "The goal of {n} was {a}"),
            asks=("What was {n} looking for?", "What did {n} hope to find?", "What was the goal of {n}?"),
        ),
        FactKind(
            name="members",
            answer=number(7, 140),
            says=("{s} had {a} members", "{s} consisted of [{a} members]", "There were {a} members in {n}"),
            asks=("How many members did {n} have?", "How many members were there in {n}?"),
        ),
        FactKind(
            name="duration",
            answer=number(45, 900, "days"),
            says=("{s} lasted {a}", "{s} returned after {a}", "The duration of {n} was {a}"),
            asks=("How long did {n} last?", "After how many days did {n} return?", "What was the duration of {n}?"),
        ),
    ),
)


FESTIVAL = Topic(
    name="festival",
    naming=_festival,
    openings=(
        "Seasonal gatherings mark the farming year across the county",
        "The tourist office lists a surprising number of old festivals",
    ),
    asides=(
        "{s} ends with a torchlight walk",
        "{s} is not held when the fields are flooded",
        "Many families return every year because {s} is free",
    ),
    facts=(
        FactKind(
            name="month",
            answer=MONTHS,
            says=("{s} takes place in {a}", "{s} is held every {a}", "In {a}, {s} fills the streets"),
            asks=("In which month does {n} take place?", "In what month is {n} held?", "When is {n} held?"),
        ),
        FactKind(
            name="first held",
            answer=year(0, 40),
            says=("{s} was first held in {a}", "{s} began in {a}", "The first edition of {n} was in {a}"),
            asks=("In what year was {n} first held?", "In which year did {n} begin?"),
        ),
        FactKind(
            name="host town",
            answer=TOWN,
            says=("{s} is hosted by {a}", "{s} is held in [the old town of {a}]", "{a} is the home of {n}"),
            asks=("Which town hosts {n}?", "In which town is {n} held?", "Which town is the home of {n}?"),
        ),
        FactKind(
            name="dish",
            answer=DISHES,
            says=("{s} is famous for {a}", "{s} always serves {a}", "Guests of {n} eat {a}"),
            asks=("What dish is {n} famous for?", "What food does {n} always serve?", "What do guests of {n} eat?"),
        ),
        FactKind(
            name="visitors",
            answer=number(1_500, 85_000, step=500),
            says=("{s} attracts {a} visitors", "{s} draws [about {a} visitors]", "Each year, {a} visitors come to {n}"),
            asks=("How many visitors does {n} attract?", "How many visitors come to {n}?"),
        ),
        FactKind(
            name="founder",
            answer=PERSON,
            says=("{s} was created by {a}", "{s} was the idea of {a}", "{a} created {n}"),
            asks=("Who created {n}?", "Whose idea was {n}?", "By whom was {n} created?"),
        ),
    ),
)


TOPICS = (EXPEDITION, FESTIVAL)
