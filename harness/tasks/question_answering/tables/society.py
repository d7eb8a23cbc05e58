"""Topics of the built-in generator: companies, ships, railways."""

from __future__ import annotations

from random import Random

from harness.tasks.question_answering.tables.schema import FactKind, Name, Topic, pick
from harness.tasks.question_answering.tables.values import PERSON, TOWN, number, place_name, title_name, town_name, year
from harness.tasks.question_answering.tables.words import CARGOES, PRODUCTS


def _company(rng: Random) -> Name:
    stem = place_name(rng, ("field", "ford", "gate", "man", "ston", "well", "wood", "worth"))
    kind = pick(rng, ("Works", "Industries", "Manufacturing", "Engineering"))
    return Name(full=f"{stem} {kind}", short=stem, mark=stem)


def _ship(rng: Random) -> Name:
    title = title_name(rng)
    return Name(full=f"the {title}", short=f"the {title}", mark=title)


def _railway(rng: Random) -> Name:
    town = town_name(rng)
    return Name(full=f"the {town} Railway", short=f"the {town} Railway", mark=town)


COMPANY = Topic(
    name="company",
    naming=_company,
    start_years=(1845, 1885),
    openings=(
        "Industry came late to the valley, and most firms began in rented sheds",
        "The old factories of the district are now flats and workshops",
    ),
    asides=(
        "{s} survived two strikes and a fire",
        "{s} never sold shares to outsiders",
        "Even in bad years {s} kept its apprentices",
    ),
    facts=(
        FactKind(
            name="founder",
            answer=PERSON,
            says=("{s} was founded by {a}", "{s} was started by {a}", "{a} was the founder of {n}"),
            asks=("Who founded {n}?", "Who was the founder of {n}?", "By whom was {n} started?"),
        ),
        FactKind(
            name="founding year",
            answer=year(0, 35),
            says=("{s} was founded in {a}", "{s} was established in {a}", "In {a}, {s} began business"),
            asks=("When was {n} founded?", "In what year was {n} established?", "When did {n} begin business?"),
        ),
        FactKind(
            name="product",
            answer=PRODUCTS,
            says=("{s} made {a}", "{s} produced {a}", "The main product of {n} was {a}"),
            asks=("What did {n} make?", "What was produced by {n}?", "What was the main product of {n}?"),
        ),
        FactKind(
            name="headquarters",
            answer=TOWN,
            says=("{s} was based in {a}", "{s} had its headquarters in {a}", "The headquarters of {n} stood in {a}"),
            asks=("Where was {n} based?", "Where were the headquarters of {n}?", "In which town was {n} based?"),
        ),
        FactKind(
            name="employees",
            answer=number(120, 9_500, step=10),
            says=("{s} employed {a} people", "{s} had [{a} workers]", "At its height, {s} employed {a} workers"),
            asks=("How many people did {n} employ?", "How many workers did {n} have?"),
        ),
        FactKind(
            name="closing year",
            answer=year(60, 120),
            says=("{s} closed in {a}", "{s} closed its last factory in {a}", "In {a}, {s} closed for good"),
            asks=("When did {n} close?", "In what year did {n} close?", "What year did {n} close its last factory?"),
        ),
    ),
)


SHIP = Topic(
    name="ship",
    naming=_ship,
    openings=(
        "The harbour museum keeps models of the merchant ships that once sailed from the bay",
        "Sailing ships were still common on the route, although steam was cheaper",
    ),
    asides=(
        "{s} was known for its dark red sails",
        "{s} lost a mast on its first voyage",
        "Old sailors said that {s} steered like a cart",
    ),
    facts=(
        FactKind(
            name="built in",
            answer=TOWN,
            says=("{s} was built in {a}", "{s} came from [the shipyard of {a}]", "A shipyard in {a} built {n}"),
            asks=("Where was {n} built?", "In which town was {n} built?", "From which shipyard did {n} come?"),
        ),
        FactKind(
            name="launch year",
            answer=year(0, 30),
            says=(
                "{s} was launched in {a}",
                "{s} was launched in [the autumn of {a}]",
                "In {a}, {s} was launched by night",
            ),
            asks=("When was {n} launched?", "In what year was {n} launched?"),
        ),
        FactKind(
            name="captain",
            answer=PERSON,
            says=("{s} was commanded by {a}", "{s} sailed under [Captain {a}]", "{a} was the captain of {n}"),
            asks=("Who was the captain of {n}?", "Who commanded {n}?", "Under which captain did {n} sail?"),
        ),
        FactKind(
            name="cargo",
            answer=CARGOES,
            says=("{s} carried {a}", "{s} was loaded with {a}", "The usual cargo of {n} was {a}"),
            asks=("What did {n} carry?", "What was {n} loaded with?", "What was the usual cargo of {n}?"),
        ),
        FactKind(
            name="crew",
            answer=number(14, 240),
            says=("{s} had a crew of {a}", "{s} needed [{a} sailors]", "The crew of {n} numbered {a}"),
            asks=("How large was the crew of {n}?", "How many sailors did {n} need?"),
        ),
        FactKind(
            name="wreck year",
            answer=year(33, 70),
            says=("{s} sank in {a}", "{s} sank in a gale in {a}", "In {a}, {s} sank on the way home"),
            asks=("When did {n} sink?", "In what year did {n} sink?", "What year did {n} sink in?"),
        ),
    ),
)


RAILWAY = Topic(
    name="railway",
    naming=_railway,
    start_years=(1835, 1890),
    openings=(
        "Narrow-gauge lines reached the upper valleys long after the main line",
        "Railway fever brought a dozen small companies into being",
    ),
    asides=(
        "{s} was slow but cheap",
        "{s} was often blocked by snow",
        "Farmers complained that {s} frightened their cattle",
    ),
    facts=(
        FactKind(
            name="engineer",
            answer=PERSON,
            says=("{s} was planned by {a}", "{s} was built by [the engineer {a}]", "{a} was the chief engineer of {n}"),
            asks=("Who planned {n}?", "Who was the chief engineer of {n}?", "Which engineer built {n}?"),
        ),
        FactKind(
            name="opening year",
            answer=year(3, 32),
            says=("{s} was opened in {a}", "{s} carried passengers from {a}", "In {a}, {s} was opened to traffic"),
            asks=("When was {n} opened?", "From what year did {n} carry passengers?", "When did {n} open?"),
        ),
        FactKind(
            name="length",
            answer=number(9, 310, "kilometres"),
            says=("{s} was {a} long", "{s} ran for {a}", "The length of {n} was {a}"),
            asks=("How long was {n}?", "What was the length of {n}?", "For how many kilometres did {n} run?"),
        ),
        FactKind(
            name="stations",
            answer=number(4, 58),
            says=("{s} served {a} stations", "{s} had [{a} stations]", "There were {a} stations on {n}"),
            asks=("How many stations did {n} serve?", "How many stations did {n} have?"),
        ),
        FactKind(
            name="freight",
            answer=CARGOES,
            says=("{s} mainly carried {a}", "{s} lived from carrying {a}", "The main freight on {n} was {a}"),
            asks=("What did {n} mainly carry?", "What was the main freight on {n}?"),
        ),
        FactKind(
            name="terminus",
            answer=TOWN,
            says=("{s} ended in {a}", "{s} had its last station in {a}", "The terminus of {n} was {a}"),
            asks=("Where did {n} end?", "Where was the last station of {n}?", "What was the terminus of {n}?"),
        ),
    ),
)


TOPICS = (COMPANY, SHIP, RAILWAY)
