"""Topics of the built-in generator: birds, asteroids."""

from __future__ import annotations

from random import Random

from harness.tasks.question_answering.tables.schema import FactKind, Name, Topic, listed, pick
from harness.tasks.question_answering.tables.values import PERSON, TOWN, number, place_name, surname, year
from harness.tasks.question_answering.tables.words import DIETS, NESTS

_BIRD_MARKS = listed(
    "crested spotted grey-headed long-tailed white-winged red-backed golden masked striped pale black-throated "
    "short-billed yellow-eyed silver ringed dusky marsh mountain coastal northern"
)


_BIRDS = listed(
    "warbler finch wren thrush plover heron bunting petrel swift owl sandpiper lark kingfisher pipit rail tern"
)


def _bird(rng: Random) -> Name:
    mark = pick(rng, _BIRD_MARKS)
    bird = f"{mark} {pick(rng, _BIRDS)}"
    return Name(full=f"{surname(rng)}'s {bird}", short=f"the {bird}", mark=mark)


def _asteroid(rng: Random) -> Name:
    stem = place_name(rng, ("ia", "ina", "ella", "is", "ada", "ara", "ona"))
    return Name(full=f"the asteroid {stem}", short=stem, mark=stem)


BIRD = Topic(
    name="bird",
    naming=_bird,
    openings=(
        "The wetlands are a refuge for several little-known birds",
        "Birdwatchers travel far to see the rarer species of the delta",
    ),
    asides=(
        "{s} sings only at dawn",
        "{s} was long thought to be extinct",
        "Farmers are glad when {s} returns in spring",
    ),
    facts=(
        FactKind(
            name="diet",
            answer=DIETS,
            says=("{s} feeds on {a}", "{s} mostly eats {a}", "The main food of {n} is {a}"),
            asks=("What does {n} feed on?", "What does {n} mostly eat?", "What is the main food of {n}?"),
        ),
        FactKind(
            name="nest",
            answer=NESTS,
            says=("{s} nests in {a}", "{s} builds its nest in {a}", "The nests of {n} are found in {a}"),
            asks=("Where does {n} nest?", "Where does {n} build its nest?", "Where are the nests of {n} found?"),
        ),
        FactKind(
            name="weight",
            answer=number(12, 260, "grams"),
            says=("{s} weighs {a}", "{s} reaches a weight of {a}", "The weight of {n} is {a}"),
            asks=("How much does {n} weigh?", "What is the weight of {n}?"),
        ),
        FactKind(
            name="wingspan",
            answer=number(15, 95, "centimetres"),
            says=("{s} has a wingspan of {a}", "{s} spreads its wings to {a}", "The wingspan of {n} is {a}"),
            asks=("What is the wingspan of {n}?", "How large is the wingspan of {n}?"),
        ),
        FactKind(
            name="described by",
            answer=PERSON,
            says=("{s} was first described by {a}", "{s} was first drawn by {a}", "{a} first described {n}"),
            asks=("Who first described {n}?", "By whom was {n} first described?", "Who first drew {n}?"),
        ),
    ),
)


ASTEROID = Topic(
    name="asteroid",
    naming=_asteroid,
    start_years=(1845, 1930),
    openings=(
        "Amateur observers found many small bodies between the planets",
        "Photographic plates made the search for asteroids much easier",
    ),
    asides=(
        "{s} is too faint to be seen without a telescope",
        "{s} tumbles slowly as it moves",
        "Later measurements showed that {s} is covered with dust",
    ),
    facts=(
        FactKind(
            name="discoverer",
            answer=PERSON,
            says=("{s} was discovered by {a}", "{s} was first seen by {a}", "{a} discovered {n}"),
            asks=("Who discovered {n}?", "Who first saw {n}?", "By whom was {n} discovered?"),
        ),
        FactKind(
            name="discovery year",
            answer=year(0, 40),
            says=("{s} was discovered in {a}", "{s} was first seen in {a}", "The discovery of {n} dates from {a}"),
            asks=("When was {n} discovered?", "In what year was {n} discovered?", "In which year was {n} first seen?"),
        ),
        FactKind(
            name="diameter",
            answer=number(3, 420, "kilometres"),
            says=("{s} has a diameter of {a}", "{s} measures {a} across", "The diameter of {n} is {a}"),
            asks=("What is the diameter of {n}?", "How much does {n} measure across?"),
        ),
        FactKind(
            name="orbit",
            answer=number(400, 4_200, "days", step=10),
            says=("{s} orbits the sun in {a}", "{s} completes an orbit in {a}", "One orbit of {n} takes {a}"),
            asks=("How long does one orbit of {n} take?", "In how many days does {n} orbit the sun?"),
        ),
        FactKind(
            name="observatory",
            answer=TOWN,
            says=("{s} was found from {a}", "{s} was photographed in {a}", "{a} is where {n} was found"),
            asks=("From where was {n} found?", "Where was {n} photographed?", "Where was {n} found?"),
        ),
    ),
)


TOPICS = (BIRD, ASTEROID)
