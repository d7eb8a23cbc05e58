"""Topics of the built-in generator: towns, bridges, castles, museums, lighthouses."""

from __future__ import annotations

from random import Random

from harness.tasks.question_answering.tables.schema import FactKind, Name, Topic
from harness.tasks.question_answering.tables.values import PERSON, RIVER, TOWN, number, place_name, town_name, year
from harness.tasks.question_answering.tables.words import GOODS, MATERIALS, ROCKS, TREASURES, USES


def _town(rng: Random) -> Name:
    name = town_name(rng)
    return Name(full=name, short=name, mark=name)


def _bridge(rng: Random) -> Name:
    name = f"the {town_name(rng)} Bridge"
    return Name(full=name, short=name, mark=name.removeprefix("the "))


def _castle(rng: Random) -> Name:
    name = town_name(rng)
    return Name(full=f"{name} Castle", short=f"{name} Castle", mark=name)


def _museum(rng: Random) -> Name:
    name = f"the {town_name(rng)} Museum"
    return Name(full=name, short=name, mark=name.removeprefix("the "))


def _lighthouse(rng: Random) -> Name:
    name = place_name(rng, ("ness", "point", "rock", "sand", "head", "skerry"))
    return Name(full=f"the {name} Lighthouse", short=f"the {name} Lighthouse", mark=name)


_OPENING_YEAR = FactKind(
    name="opening year",
    answer=year(3, 30),
    says=("{s} was opened in {a}", "{s} opened in {a}", "In {a}, {s} was opened with a brass band"),
    asks=("When was {n} opened?", "In what year did {n} open?", "What year was {n} opened in?"),
)
_MATERIAL = FactKind(
    name="material",
    answer=MATERIALS,
    says=("{s} was built of {a}", "{s} is made of {a}", "The builders of {n} used {a}"),
    asks=("What was {n} built of?", "What material is {n} made of?", "Which material did the builders of {n} use?"),
)
_ARCHITECT = FactKind(
    name="architect",
    answer=PERSON,
    says=("{s} was designed by {a}", "{s} is the work of [the architect {a}]", "{a} was the architect of {n}"),
    asks=("Who designed {n}?", "Who was the architect of {n}?", "By whom was {n} designed?"),
)
_LATER_USE = FactKind(
    name="later use",
    answer=USES,
    says=("{s} later served as {a}", "{s} was used as {a}", "For some decades, {s} served as {a}"),
    asks=("What was {n} used as?", "What did {n} later serve as?"),
)

TOWN_TOPIC = Topic(
    name="town",
    naming=_town,
    start_years=(1080, 1700),
    openings=(
        "The towns of the eastern valleys grew up along an old trade road",
        "Several market towns in the county share a similar history",
    ),
    asides=(
        "{s} has narrow lanes and a covered market",
        "{s} was badly damaged by a flood but soon recovered",
        "Visitors say that {s} is best seen in the early morning",
    ),
    facts=(
        FactKind(
            name="founding year",
            answer=year(0, 30),
            says=("{s} was founded in {a}", "{s} received its charter in {a}", "The founding of {n} dates to {a}"),
            asks=("When was {n} founded?", "In what year did {n} receive its charter?", "What year was {n} founded?"),
        ),
        FactKind(
            name="population",
            answer=number(1_100, 98_000, step=100),
            says=(
                "{s} has a population of {a}",
                "{s} has [about {a} inhabitants]",
                "The population of {n} is {a}",
            ),
            asks=("What is the population of {n}?", "How many inhabitants does {n} have?"),
        ),
        FactKind(
            name="industry",
            answer=GOODS,
            says=("{s} is known for its {a}", "{s} became rich by selling {a}", "Workshops in {n} still make {a}"),
            asks=("What is {n} known for?", "What did {n} become rich by selling?", "What do workshops in {n} make?"),
        ),
        FactKind(
            name="river",
            answer=RIVER,
            says=("{s} lies on [the {a}]", "{s} stands on a bend of [the {a}]", "[The {a}] flows through {n}"),
            asks=("On which river does {n} lie?", "Which river flows through {n}?", "What river does {n} stand on?"),
        ),
        FactKind(
            name="founder",
            answer=PERSON,
            says=("{s} was founded by {a}", "{s} was laid out by {a}", "{a} was the founder of {n}"),
            asks=("Who founded {n}?", "Who was the founder of {n}?", "By whom was {n} laid out?"),
        ),
    ),
)

BRIDGE = Topic(
    name="bridge",
    naming=_bridge,
    start_years=(1790, 1890),
    openings=(
        "Before the bridges were built, travellers depended on small ferries",
        "Engineers still visit the old bridges of the district",
    ),
    asides=(
        "{s} was painted in a dull green",
        "{s} sways a little in strong wind",
        "Painters have often shown how {s} looks at dusk",
    ),
    facts=(
        _OPENING_YEAR,
        _ARCHITECT,
        _MATERIAL,
        FactKind(
            name="length",
            answer=number(60, 980, "metres"),
            says=("{s} is {a} long", "{s} has a length of {a}", "The length of {n} is {a}"),
            asks=("How long is {n}?", "What is the length of {n}?", "What length does {n} have?"),
        ),
        FactKind(
            name="crossing",
            answer=RIVER,
            says=("{s} crosses [the {a}]", "{s} spans [the {a}]", "[The {a}] is crossed by {n}"),
            asks=("Which river does {n} cross?", "What river does {n} span?", "Which river is crossed by {n}?"),
        ),
        FactKind(
            name="arches",
            answer=number(3, 34),
            says=("{s} rests on {a} arches", "{s} has [{a} arches]", "There are {a} arches in {n}"),
            asks=("How many arches does {n} have?", "How many arches are there in {n}?"),
        ),
    ),
)

CASTLE = Topic(
    name="castle",
    naming=_castle,
    start_years=(1150, 1650),
    openings=(
        "A chain of castles once guarded the border hills",
        "The castles of the duchy are mostly ruins today",
    ),
    asides=(
        "{s} stands on a steep rock above the road",
        "{s} is said to be haunted by a grey dog",
        "Storms have brought down part of the walls, yet {s} still draws visitors",
    ),
    facts=(
        FactKind(
            name="built for",
            answer=PERSON,
            says=("{s} was built for {a}", "{s} was the seat of {a}", "{a} was the first owner of {n}"),
            asks=("For whom was {n} built?", "Who was the first owner of {n}?", "{n} was the seat of whom?"),
        ),
        FactKind(
            name="completion year",
            answer=year(4, 32),
            says=("{s} was completed in {a}", "{s} was finished in {a}", "Work on {n} was finished in {a}"),
            asks=("When was {n} completed?", "In what year was {n} finished?", "When did work on {n} finish?"),
        ),
        FactKind(
            name="fire year",
            answer=year(70, 160),
            says=("{s} was damaged by fire in {a}", "{s} lost its roof to a fire in {a}", "In {a}, a fire damaged {n}"),
            asks=("When was {n} damaged by fire?", "In which year did fire damage {n}?", "When was the fire at {n}?"),
        ),
        FactKind(
            name="rooms",
            answer=number(24, 260),
            says=("{s} has {a} rooms", "{s} contains [{a} rooms]", "There are {a} rooms in {n}"),
            asks=("How many rooms does {n} have?", "What number of rooms are there in {n}?"),
        ),
        FactKind(
            name="stone",
            answer=ROCKS,
            says=("{s} was built of {a}", "{s} has thick walls of {a}", "The walls of {n} are made of {a}"),
            asks=("What was {n} built of?", "What are the walls of {n} made of?"),
        ),
        _LATER_USE,
    ),
)

MUSEUM = Topic(
    name="museum",
    naming=_museum,
    start_years=(1790, 1890),
    openings=(
        "The city's museums began as private collections",
        "Three streets near the park are full of small museums",
    ),
    asides=(
        "{s} closes on the first day of every month",
        "{s} has a quiet courtyard with a fig tree",
        "Children like the attic, which {s} opens on holidays",
    ),
    facts=(
        _OPENING_YEAR,
        FactKind(
            name="founder",
            answer=PERSON,
            says=("{s} was founded by {a}", "{s} began as the collection of {a}", "{a} was the founder of {n}"),
            asks=("Who founded {n}?", "Who was the founder of {n}?", "Whose collection did {n} begin as?"),
        ),
        FactKind(
            name="objects",
            answer=number(1_200, 90_000, step=50),
            says=("{s} holds {a} objects", "{s} has a collection of [{a} objects]", "There are {a} objects in {n}"),
            asks=("How many objects does {n} hold?", "How many objects are there in the collection of {n}?"),
        ),
        FactKind(
            name="treasure",
            answer=TREASURES,
            says=("{s} is proud of {a}", "{s} displays {a} in its main hall", "The finest piece in {n} is {a}"),
            asks=("What does {n} display?", "What is the finest piece in {n}?", "What is {n} proud of?"),
        ),
        _LATER_USE,
    ),
)

LIGHTHOUSE = Topic(
    name="lighthouse",
    naming=_lighthouse,
    start_years=(1790, 1890),
    openings=(
        "The rocky coast needed many lights before it was safe for shipping",
        "The lighthouses of the bay are no longer staffed",
    ),
    asides=(
        "{s} can be visited in calm weather",
        "{s} was struck by lightning more than once",
        "Fishermen claim that {s} is never quite silent",
    ),
    facts=(
        FactKind(
            name="height",
            answer=number(18, 72, "metres"),
            says=("{s} is {a} tall", "{s} has a height of {a}", "The height of {n} is {a}"),
            asks=("How tall is {n}?", "What is the height of {n}?"),
        ),
        FactKind(
            name="keeper",
            answer=PERSON,
            says=("{s} was first tended by {a}", "{s} had {a} as its first keeper", "{a} was the first keeper of {n}"),
            asks=("Who was the first keeper of {n}?", "Who first tended {n}?"),
        ),
        FactKind(
            name="steps",
            answer=number(75, 420),
            says=("{s} has {a} steps", "{s} is climbed by [{a} steps]", "There are {a} steps in {n}"),
            asks=("How many steps does {n} have?", "What number of steps are there in {n}?"),
        ),
        FactKind(
            name="nearest town",
            answer=TOWN,
            says=("{s} stands near {a}", "{s} guards the harbour of {a}", "The town closest to {n} is {a}"),
            asks=("Which town does {n} stand near?", "Which town is closest to {n}?", "Whose harbour does {n} guard?"),
        ),
        _OPENING_YEAR,
        _MATERIAL,
    ),
)

TOPICS = (TOWN_TOPIC, BRIDGE, CASTLE, MUSEUM, LIGHTHOUSE)
