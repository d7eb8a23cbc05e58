"""Topics of the built-in generator: scientists, writers, composers, politicians, athletes."""

from __future__ import annotations

from harness.tasks.question_answering.tables.schema import FactKind, Topic
from harness.tasks.question_answering.tables.values import PERSON, TITLE, TOWN, number, person_name, year
from harness.tasks.question_answering.tables.words import (
    DISCOVERIES,
    INSTRUMENTS,
    JOBS,
    LANGUAGES,
    REFORMS,
    SCIENCES,
    SPORTS,
)

_BIRTH_YEAR = FactKind(
    name="birth year",
    answer=year(0, 22),
    says=(
        "{s} was born in {a}",
        "{s} was born in [the winter of {a}]",
        "In {a}, {s} was born into a family of weavers",
        "The birth of {n} is recorded in {a}",
    ),
    asks=("When was {n} born?", "In what year was {n} born?", "What was the birth year of {n}?"),
)
_CHILDHOOD = FactKind(
    name="childhood town",
    answer=TOWN,
    says=(
        "{s} grew up in {a}",
        "{s} grew up in [the small town of {a}]",
        "{a} was the childhood home of {n}",
    ),
    asks=("Where did {n} grow up?", "In which town did {n} grow up?", "What was the childhood home of {n}?"),
)
_TEACHER = FactKind(
    name="teacher",
    answer=PERSON,
    says=(
        "{s} was taught by {a}",
        "{s} became a pupil of {a}",
        "{a} was the first teacher of {n}",
    ),
    asks=("Who taught {n}?", "Who was the teacher of {n}?", "Whose pupil was {n}?"),
)
_DEATH_YEAR = FactKind(
    name="death year",
    answer=year(60, 88),
    says=(
        "{s} died in {a}",
        "{s} died after a short illness in {a}",
        "In {a}, {s} died at home",
        "The death of {n} came in {a}",
    ),
    asks=("When did {n} die?", "In what year did {n} die?", "What was the year of the death of {n}?"),
)

SCIENTIST = Topic(
    name="scientist",
    naming=person_name,
    openings=(
        "Much of the early science of the region was done by a few stubborn people",
        "The academy kept letters and drawings from several of its members",
    ),
    asides=(
        "{s} kept careful notebooks that are still read today",
        "{s} seldom travelled and answered every letter by hand",
        "Many colleagues thought that {s} worked too slowly, but the results proved reliable",
    ),
    facts=(
        _BIRTH_YEAR,
        _CHILDHOOD,
        _TEACHER,
        FactKind(
            name="field",
            answer=SCIENCES,
            says=("{s} studied {a}", "{s} gave lectures on {a}", "The main subject of {n} was {a}"),
            asks=(
                "What subject did {n} study?",
                "On what subject did {n} give lectures?",
                "What was the main subject of {n}?",
            ),
        ),
        FactKind(
            name="discovery",
            answer=DISCOVERIES,
            says=(
                "{s} discovered {a}",
                "{s} won praise for discovering {a}",
                "The most famous discovery of {n} was {a}",
            ),
            asks=("What did {n} discover?", "Which discovery made {n} famous?", "What is {n} known for discovering?"),
        ),
        _DEATH_YEAR,
    ),
)

WRITER = Topic(
    name="writer",
    naming=person_name,
    openings=(
        "The literary society began as a circle of friends who read to each other on Sundays",
        "Few of the writers of that generation could live from their books",
    ),
    asides=(
        "{s} rewrote every page at least three times",
        "{s} disliked interviews and gave only one",
        "Critics were slow to notice that {s} had changed the language of the theatre",
    ),
    facts=(
        _BIRTH_YEAR,
        FactKind(
            name="first novel",
            answer=TITLE,
            says=(
                "{s} became known with the novel {a}",
                "{s} wrote [the novel {a}]",
                "{a} was the first novel by {n}",
            ),
            asks=("Which novel did {n} write?", "What was the novel by {n} called?", "What was {n}'s novel?"),
        ),
        FactKind(
            name="spouse",
            answer=PERSON,
            says=("{s} married {a}", "{s} was married to {a}", "{a} married {n} in a village church"),
            asks=("Whom did {n} marry?", "Who was married to {n}?", "To whom was {n} married?"),
        ),
        FactKind(
            name="first job",
            answer=JOBS,
            says=(
                "{s} first worked as {a}",
                "{s} earned a living as {a}",
                "Before turning to books, {s} worked as {a}",
            ),
            asks=("What did {n} work as?", "What was the first job of {n}?", "As what did {n} earn a living?"),
        ),
        FactKind(
            name="translations",
            answer=LANGUAGES,
            says=(
                "{s} translated poems from {a}",
                "{s} translated plays written in {a}",
                "From {a}, {s} translated two long poems",
            ),
            asks=("From which language did {n} translate?", "What language did {n} translate from?"),
        ),
        _DEATH_YEAR,
    ),
)

COMPOSER = Topic(
    name="composer",
    naming=person_name,
    openings=(
        "Music in the province was kept alive by church choirs and by a handful of composers",
        "The festival hall holds the manuscripts of several composers",
    ),
    asides=(
        "{s} preferred to compose before sunrise",
        "{s} never conducted in public after a bad fall",
        "It is often said that {s} could hear a wrong note from the street",
    ),
    facts=(
        FactKind(
            name="instrument",
            answer=INSTRUMENTS,
            says=("{s} played {a}", "{s} learned to play {a}", "The favourite instrument of {n} was {a}"),
            asks=("Which instrument did {n} play?", "What did {n} learn to play?"),
        ),
        FactKind(
            name="opera",
            answer=TITLE,
            says=("{s} composed [the opera {a}]", "{s} is best known for the opera {a}", "{a} is an opera by {n}"),
            asks=("Which opera did {n} compose?", "What is the opera by {n} called?", "What was {n}'s opera?"),
        ),
        FactKind(
            name="symphonies",
            answer=number(3, 40),
            says=("{s} wrote {a} symphonies", "{s} completed [{a} symphonies]", "There are {a} symphonies by {n}"),
            asks=("How many symphonies did {n} write?", "How many symphonies did {n} complete?"),
        ),
        FactKind(
            name="songs",
            answer=number(45, 400),
            says=("{s} published {a} songs", "{s} composed {a} songs", "The archive holds {a} songs by {n}"),
            asks=("How many songs did {n} compose?", "What number of songs did {n} publish?"),
        ),
        _CHILDHOOD,
        _TEACHER,
    ),
)

POLITICIAN = Topic(
    name="politician",
    naming=person_name,
    openings=(
        "The council met in a cold hall above the corn market",
        "Local politics in those years was noisy and often personal",
    ),
    asides=(
        "{s} was a dry speaker but a patient negotiator",
        "{s} refused to own a carriage while in office",
        "Newspapers complained that {s} never smiled in public",
    ),
    facts=(
        _BIRTH_YEAR,
        FactKind(
            name="mayor of",
            answer=TOWN,
            says=("{s} was the mayor of {a}", "{s} became mayor of {a}", "The people of {a} chose {n} as mayor"),
            asks=("Of which town was {n} the mayor?", "Where did {n} become mayor?", "Which town chose {n} as mayor?"),
        ),
        FactKind(
            name="election year",
            answer=year(30, 56),
            says=("{s} was first elected in {a}", "{s} won the election of {a}", "In {a}, {s} was narrowly elected"),
            asks=("When was {n} elected?", "In which year was {n} first elected?", "When did {n} win the election?"),
        ),
        FactKind(
            name="reform",
            answer=REFORMS,
            says=("{s} fought for {a}", "{s} campaigned for {a}", "The great cause of {n} was {a}"),
            asks=("What did {n} fight for?", "What did {n} campaign for?", "What was the great cause of {n}?"),
        ),
        FactKind(
            name="successor",
            answer=PERSON,
            says=("{s} was succeeded by {a}", "{s} was followed in office by {a}", "{a} was the successor of {n}"),
            asks=("Who succeeded {n}?", "Who was the successor of {n}?", "Who followed {n} in office?"),
        ),
    ),
)

ATHLETE = Topic(
    name="athlete",
    naming=person_name,
    start_years=(1860, 1950),
    openings=(
        "The sports hall of fame opened with a small group of local champions",
        "Training in those days meant long walks and cold baths",
    ),
    asides=(
        "{s} trained in all weathers",
        "{s} gave most of the prize money to a school",
        "Spectators remembered how calmly {s} waited for the start",
    ),
    facts=(
        FactKind(
            name="sport",
            answer=SPORTS,
            says=("{s} was a champion in {a}", "{s} competed in {a}", "The sport of {n} was {a}"),
            asks=("What sport did {n} compete in?", "In which sport was {n} a champion?"),
        ),
        FactKind(
            name="medals",
            answer=number(2, 38),
            says=("{s} won {a} medals", "{s} collected [{a} medals]", "A glass case holds the {a} medals of {n}"),
            asks=("How many medals did {n} win?", "What number of medals did {n} collect?"),
        ),
        FactKind(
            name="coach",
            answer=PERSON,
            says=("{s} was coached by {a}", "{s} trained under the coach {a}", "{a} coached {n} for ten seasons"),
            asks=("Who coached {n}?", "Who was the coach of {n}?", "Under which coach did {n} train?"),
        ),
        FactKind(
            name="record year",
            answer=year(18, 40),
            says=("{s} set a national record in {a}", "{s} broke the record in {a}", "The record of {n} dates to {a}"),
            asks=("When did {n} set a record?", "In what year did {n} break the record?"),
        ),
        _CHILDHOOD,
    ),
)

TOPICS = (SCIENTIST, WRITER, COMPOSER, POLITICIAN, ATHLETE)
