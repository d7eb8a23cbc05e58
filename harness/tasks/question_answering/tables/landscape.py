"""Topics of the built-in generator: rivers, mountains, islands."""

from __future__ import annotations

from random import Random

from harness.tasks.question_answering.tables.schema import AnswerType, FactKind, Name, Topic, pick
from harness.tasks.question_answering.tables.values import (
    MOUNTAIN,
    PERSON,
    TOWN,
    mountain_name,
    number,
    place_name,
    river_name,
    year,
)
from harness.tasks.question_answering.tables.words import CROPS, FISH, ROCKS


def _river(rng: Random) -> Name:
    name = river_name(rng)
    stem = name.removeprefix("River ")
    return Name(full=f"the {name}", short=f"the {stem}", mark=stem)


def _mountain(rng: Random) -> Name:
    name = mountain_name(rng)
    return Name(full=name, short=name, mark=name.removeprefix("Mount "))


def _island(rng: Random) -> Name:
    stem = place_name(rng, ("holm", "ey", "land", "ness", "skerry", "ay"))
    return Name(full=f"the island of {stem}", short=stem, mark=stem)


def _water(rng: Random, _year: int) -> str:
    return f"{pick(rng, ('Lake', 'the Bay of', 'the Gulf of'))} {place_name(rng, ('sea', 'mouth', 'haven', 'ness'))}"


RIVER_TOPIC = Topic(
    name="river",
    naming=_river,
    openings=(
        "The rivers of the plateau are short and fed by melting snow",
        "Water from the highlands reaches the coast by several routes",
    ),
    asides=(
        "{s} is brown after heavy rain",
        "{s} freezes over in cold winters",
        "Old maps show that {s} has shifted its bed",
    ),
    facts=(
        FactKind(
            name="source",
            answer=MOUNTAIN,
            says=("{s} rises on {a}", "{s} has its source on {a}", "The source of {n} is on {a}"),
            asks=("Where does {n} rise?", "On which mountain is the source of {n}?", "Where is the source of {n}?"),
        ),
        FactKind(
            name="length",
            answer=number(38, 960, "kilometres"),
            says=("{s} is {a} long", "{s} runs for {a}", "The length of {n} is {a}"),
            asks=("How long is {n}?", "What is the length of {n}?", "For how many kilometres does {n} run?"),
        ),
        FactKind(
            name="mouth",
            answer=AnswerType(name="water", draw=_water),
            says=("{s} flows into {a}", "{s} empties into {a}", "The mouth of {n} is in {a}"),
            asks=("What does {n} flow into?", "Where does {n} empty?", "Where is the mouth of {n}?"),
        ),
        FactKind(
            name="fish",
            answer=FISH,
            says=("{s} is rich in {a}", "{s} is a good place to catch {a}", "The most common fish in {n} is the {a}"),
            asks=(
                "Which fish is {n} rich in?",
                "Which fish can you catch in {n}?",
                "What is the most common fish in {n}?",
            ),
        ),
        FactKind(
            name="largest town",
            answer=TOWN,
            says=("{s} passes through {a}", "{s} turns north at {a}", "The largest town on {n} is {a}"),
            asks=("Which town does {n} pass through?", "What is the largest town on {n}?", "Which town lies on {n}?"),
        ),
        FactKind(
            name="crossings",
            answer=number(5, 75),
            says=("{s} is crossed by {a} bridges", "{s} has [{a} bridges]", "There are {a} bridges over {n}"),
            asks=("How many bridges cross {n}?", "How many bridges are there over {n}?"),
        ),
    ),
)


MOUNTAIN_TOPIC = Topic(
    name="mountain",
    naming=_mountain,
    start_years=(1780, 1880),
    openings=(
        "The range is lower than its neighbours but feared for its weather",
        "Climbers came to these mountains when the better known peaks had become crowded",
    ),
    asides=(
        "{s} is hidden by clouds on most days",
        "{s} has a small glacier on its north side",
        "Shepherds believed that {s} moved a little every night",
    ),
    facts=(
        FactKind(
            name="height",
            answer=number(1_420, 6_900, "metres"),
            says=("{s} is {a} high", "{s} reaches a height of {a}", "The height of {n} is {a}"),
            asks=("How high is {n}?", "What is the height of {n}?", "What height does {n} reach?"),
        ),
        FactKind(
            name="first climber",
            answer=PERSON,
            says=("{s} was first climbed by {a}", "{s} was conquered by {a}", "{a} was the first to climb {n}"),
            asks=("Who first climbed {n}?", "Who was the first to climb {n}?", "By whom was {n} conquered?"),
        ),
        FactKind(
            name="first climbed",
            answer=year(0, 45),
            says=(
                "{s} was first climbed in {a}",
                "{s} was first climbed in [the summer of {a}]",
                "In {a}, {n} was climbed",
            ),
            asks=("When was {n} first climbed?", "In what year was {n} climbed?"),
        ),
        FactKind(
            name="rock",
            answer=ROCKS,
            says=("{s} consists of {a}", "{s} is made of {a}", "The rock of {n} is {a}"),
            asks=("What does {n} consist of?", "What rock is {n} made of?", "What is the rock of {n}?"),
        ),
        FactKind(
            name="village",
            answer=TOWN,
            says=("{s} rises above {a}", "{s} overlooks [the village of {a}]", "The path up {n} starts in {a}"),
            asks=("Which village does {n} overlook?", "Where does the path up {n} start?"),
        ),
    ),
)


ISLAND = Topic(
    name="island",
    naming=_island,
    openings=(
        "The archipelago was settled late because fresh water is scarce",
        "Each of the islands keeps its own customs and its own dialect",
    ),
    asides=(
        "{s} has no trees taller than a house",
        "{s} is cut off for days when the wind turns",
        "Mail reaches the islanders on Fridays, though {s} has a telephone",
    ),
    facts=(
        FactKind(
            name="area",
            answer=number(6, 940, "square kilometres"),
            says=("{s} covers {a}", "{s} has an area of {a}", "The area of {n} is {a}"),
            asks=("What is the area of {n}?", "How large is the area of {n}?", "What area does {n} cover?"),
        ),
        FactKind(
            name="discoverer",
            answer=PERSON,
            says=("{s} was discovered by {a}", "{s} was first mapped by {a}", "{a} discovered {n} by accident"),
            asks=("Who discovered {n}?", "Who first mapped {n}?", "By whom was {n} discovered?"),
        ),
        FactKind(
            name="crop",
            answer=CROPS,
            says=("{s} exports {a}", "{s} lives from growing {a}", "The main crop on {n} is {a}"),
            asks=("What does {n} export?", "What is the main crop on {n}?", "What is grown on {n}?"),
        ),
        FactKind(
            name="harbour",
            answer=TOWN,
            says=("{s} has its harbour at {a}", "{s} is governed from {a}", "The main town on {n} is {a}"),
            asks=("Where is the harbour of {n}?", "What is the main town on {n}?", "From where is {n} governed?"),
        ),
        FactKind(
            name="population",
            answer=number(90, 9_800, step=10),
            says=("{s} has {a} inhabitants", "{s} is home to [{a} people]", "The population of {n} is {a}"),
            asks=("How many inhabitants does {n} have?", "What is the population of {n}?"),
        ),
    ),
)


TOPICS = (RIVER_TOPIC, MOUNTAIN_TOPIC, ISLAND)
