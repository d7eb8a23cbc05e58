"""Names and answers of the built-in generator, composed from parts so that two seeds rarely share a name."""

from __future__ import annotations

from random import Random

from harness.data.generator_schema import AnswerType, Name, pick

_WOMEN = (
    "Ada Agnes Alice Amina Anna Beatrice Carla Celia Clara Dora Edith Elena Eliza Emma Esther Eva Fatima Flora Frieda "
    "Grace Greta Hanna Helen Ida Ines Irene Ivy Jane Josephine Judith Julia Karin Laura Leila Lena Louise Lucy Mabel "
    "Maria Martha Mary Mina Nadia Nina Nora Olga Paula Rosa Ruth Sara Sofia Stella Susan Teresa Vera Yuki Zoe"
).split()
_MEN = (
    "Abel Adam Alan Albert Andrew Anton Arthur Boris Carl Daniel David Edgar Edward Emil Eric Felix Frank George Gustav "
    "Harold Henry Hugo Igor Isaac Ivan Jacob James Jan John Jonas Joseph Karim Kenji Leo Louis Luis Marco Martin Max "
    "Miguel Nathan Oliver Omar Oscar Otto Paul Peter Philip Ralph Robert Samuel Simon Stefan Theo Thomas Victor Walter"
).split()
_SURNAME_STARTS = (
    "Ash Black Brad Brook Carl Cross Dal East Fair Gold Green Hal Hart Hath Hay Hol Kings Lang Lock Mar Mil Nor Oak Pem "
    "Rad Red Rock Sand Shel Stan Strat Thorn Wake Wal Ward West Whit Win Wind Wood"
).split()
_SURNAME_ENDS = "combe croft dale field ford ley man more ridge stone well wood worth".split()
_SURNAMES = tuple(
    start + end for start in _SURNAME_STARTS for end in _SURNAME_ENDS if start.lower() != end
) + tuple(
    (
        "Abara Almeida Bauer Becker Bergman Bianchi Castillo Chen Conti Cortez Dubois Duran Eriksen Farouk Ferrari "
        "Fischer Fontaine Garcia Haddad Hansen Hoffman Ibrahim Ivanov Jansen Kato Keller Kimura Kovac Kruger Laurent "
        "Lindgren Lopez Lund Mancini Mbeki Mendoza Meyer Moreau Moretti Nakamura Navarro Nielsen Novak Okafor Olsen "
        "Orlov Pavlov Pereira Petrov Ramirez Richter Romano Rossi Salazar Sato Schubert Silva Singh Sorensen Tanaka "
        "Torres Ueda Vargas Vogel Weber Yamada Zhang Ziegler"
    ).split()
)  # fmt: skip
_TOWN_STARTS = (
    "Ald Am Bar Bex Birk Bram Carn Chel Clay Cold Crom Dun Ebber Elm Far Fleet Glen Graf Gram Harl Hern Hex Ings Kel "
    "Kir Lam Leth Lin Low Lud Malt Mer Mor New Nord Or Pad Pol Ravens Rill Roth Sal Scar Sel Skel Stock Swan Tarn Thorn "
    "Tor Ul Wal Wex Wy Yar"
).split()
_TOWN_ENDS = "beck bury cliff den gate ham haven holm hurst mere minster mouth ness port sea stead thorpe wick".split()
_STEM_STARTS = (
    "Al Ar Bel Cal Cor Dar El Fal Gal Hal Is Jor Kal Lor Mal Mir Nar Or Pal Quel Ral Sal Sol Tal Tam Ur Val Ver Vol Zar"
).split()
_STEM_ENDS = "anda aris avel ena endra essa ian ida imar inda ista ona ora oven una yra".split()
_ADJECTIVES = (
    "Amber Blue Bold Bright Broken Burning Crimson Distant Early Empty Fallen First Frozen Gentle Golden Green Hidden "
    "Hollow Last Lonely Lost Northern Pale Patient Quiet Red Restless Scarlet Second Secret Silent Silver Southern Stolen "
    "Summer Wandering Western White Wild Winter"
).split()
_NOUNS = (
    "Anchor Arrow Bell Castle Cloud Compass Crown Daughter Dawn Door Falcon Feather Field Fire Forest Garden Gate Harbour "
    "Heron Hill House Island Journey King Lantern Letter Meadow Mirror Moon Mountain Orchard Promise Queen Raven Road Rose "
    "Shadow Shore Sparrow Star Storm Stranger Street Swan Tide Tower Traveller Valley Voyage Window"
).split()


def person_name(rng: Random) -> Name:
    """A person with first name and surname."""
    surname = pick(rng, _SURNAMES)
    if rng.random() < 0.5:
        return Name(full=f"{pick(rng, _WOMEN)} {surname}", short=surname, pronoun="she")
    return Name(full=f"{pick(rng, _MEN)} {surname}", short=surname, pronoun="he")


def surname(rng: Random) -> str:
    """A surname alone, to name companies, expeditions and bridges after."""
    return pick(rng, _SURNAMES)


def town_name(rng: Random) -> str:
    """A town, in one or two words."""
    name = pick(rng, _TOWN_STARTS) + pick(rng, _TOWN_ENDS)
    kind = rng.random()
    if kind < 0.7:
        return name
    return f"{pick(rng, ('North', 'South', 'East', 'West', 'Upper', 'Lower', 'Great', 'Little', 'Old', 'Port'))} {name}"


def stem_name(rng: Random) -> str:
    """A name of no language, for rivers, islands, asteroids and the like."""
    return pick(rng, _STEM_STARTS) + pick(rng, _STEM_ENDS)


def title_name(rng: Random) -> str:
    """The title of a novel or an opera, also the name of a ship without its article."""
    return f"{pick(rng, _ADJECTIVES)} {pick(rng, _NOUNS)}"


def words(name: str, comma_separated: str) -> AnswerType:
    """Answers taken from a list; at least twelve, so that one passage rarely runs out of different ones."""
    choices = tuple(comma_separated.split(", "))
    return AnswerType(name=name, draw=lambda rng, _year: pick(rng, choices))


def year(earliest: int, latest: int) -> AnswerType:
    """A year, counted from the one in which the history of the thing begins."""
    return AnswerType(name="year", draw=lambda rng, start: str(start + pick(rng, range(earliest, latest + 1))))


def number(lowest: int, highest: int, unit: str = "", step: int = 1) -> AnswerType:
    """A quantity with its unit in words ("212 kilometres"), or a bare number where the sentence names what it counts."""

    def draw(rng: Random, _year: int) -> str:
        return f"{pick(rng, range(lowest, highest + 1, step)):,} {unit}".rstrip()

    return AnswerType(name=unit or "number", draw=draw)


PERSON = AnswerType(name="person", draw=lambda rng, _year: person_name(rng).full)
TOWN = AnswerType(name="town", draw=lambda rng, _year: town_name(rng))
TITLE = AnswerType(name="title", draw=lambda rng, _year: f"The {title_name(rng)}")
RIVER = AnswerType(name="river", draw=lambda rng, _year: f"River {stem_name(rng)}")
MOUNTAIN = AnswerType(name="mountain", draw=lambda rng, _year: f"Mount {stem_name(rng)}")
