"""Names and answers of the built-in generator, composed from parts so that two seeds rarely share a name."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from harness.tasks.question_answering.tables.schema import AnswerType, Name, listed, pick

_WOMEN = listed(
    "Ada Agnes Alice Anna Beatrice Carla Celia Clara Dora Edith Elena Eliza Emma Esther Eva Fatima Flora Frieda "
    "Grace Greta Hanna Helen Ida Irene Ivy Jane Josephine Judith Julia Karin Laura Lena Louise Lucy Mabel Maria "
    "Martha Mary Mina Nadia Nina Nora Olga Paula Rosa Ruth Sara Sofia Stella Susan Teresa Vera Yuki Zoe"
)
_MEN = listed(
    "Abel Adam Alan Albert Andrew Anton Arthur Boris Carl Daniel David Edgar Edward Emil Eric Felix Frank George "
    "Gustav Harold Henry Hugo Igor Isaac Ivan Jacob James Jan John Jonas Joseph Karim Kenji Leo Louis Luis Marco "
    "Martin Max Miguel Nathan Oliver Omar Oscar Otto Paul Peter Philip Ralph Robert Samuel Simon Stefan Theo Thomas "
    "Victor Walter"
)
_SURNAMES = listed(
    "Adams Allen Anderson Armstrong Atkinson Bailey Baker Baldwin Barker Barnett Baxter Becker Bennett Benson "
    "Bishop Blake Bond Bowen Boyd Bradley Brandt Brennan Brewer Bryant Burke Burton Butler Byrne Cameron Campbell "
    "Carlson Carpenter Carroll Carter Chandler Chapman Chavez Chen Clark Clayton Clement Cole Connolly Cooper Costa "
    "Cox Crane Crawford Curtis Dalton Davidson Dawson Dean Delgado Dennis Diaz Dixon Donovan Douglas Doyle Drake "
    "Duncan Dunn Elliott Emerson Farrell Ferguson Fernandez Ferrari Fischer Fisher Fleming Fletcher Flynn Foster "
    "Fowler Franklin Fraser Freeman Fuller Garcia Gardner Garrison Gibson Gilbert Gill Gomez Goodwin Gordon Graham "
    "Griffin Griffith Haas Hale Hamilton Hammond Hancock Hansen Hardy Harper Harrington Harrison Hart Hartley "
    "Harvey Hawkins Henderson Henry Hernandez Herrera Hoffman Holland Horton Houston Howard Hudson Hunter "
    "Hutchinson Ibrahim Ingram Irving Jackson Jensen Johansson Johnson Jordan Kane Kelly Kemp Kennedy Kerr Khan "
    "Klein Knight Kowalski Kramer Lambert Larsen Lawson Lee Levy Lindsay Lopez Lowe Lynch MacDonald Mackenzie "
    "Marshall Martinez Mason Maxwell McCarthy Mendoza Meyer Miller Mitchell Monroe Montgomery Moore Moran Moreno "
    "Morgan Morrison Morton Mueller Muller Murphy Murray Nakamura Nash Navarro Neal Nelson Newman Newton Nielsen "
    "Novak Nunez Olsen Ortiz Osborne Owen Palmer Parker Patel Patterson Pearson Perry Petersen Pierce Porter Potter "
    "Powell Pratt Preston Quinn Ramirez Reed Reynolds Richardson Riley Rivera Robertson Robinson Romano Rossi Rowe "
    "Russell Ryan Salazar Sanchez Sato Sawyer Schmidt Schneider Schultz Schwartz Scott Shaw Shepherd Sherman "
    "Simpson Sinclair Singh Slater Sloan Smith Spencer Stanley Sterling Stewart Sullivan Sutherland Sutton Suzuki "
    "Tanaka Taylor Thompson Thornton Tucker Turner Tyler Vaughan Vega Vogel Wagner Walker Wallace Walsh Walton Ward "
    "Warner Warren Watson Weaver Webb Weber Webster Wheeler Whitaker Wilcox Wilson Wright Yamamoto York Zhang "
    "Zimmerman"
)
# Common words, so that the part which tells two names apart is one word piece.
_PLACE_STARTS = listed(
    "Amber Anchor Apple Arrow Ash Aspen Autumn Badger Beacon Birch Bishop Bronze Cedar Chapel Cherry Clay Cloud "
    "Copper Coral Cotton Crane Crystal Deer Dragon Eagle Elm Falcon Fern Finch Flint Fox Frost Gold Granite Grove "
    "Hare Harp Hawk Hazel Heather Heron Holly Honey Horn Ice Iron Ivory Ivy Jade Jasper Juniper Lark Laurel Leaf "
    "Lily Linden Lion Maple Marble Meadow Mill Mist Moon Moss Oak Olive Orchard Otter Owl Palm Peach Pearl Pigeon "
    "Pine Plum Poplar Quartz Queen Raven Reed Robin Rose Ruby Rush Sage Salmon Salt Sand Scarlet Shell Shepherd "
    "Silver Slate Sparrow Spring Star Storm Summer Swan Thistle Thorn Tiger Timber Tower Trout Turtle Velvet Violet "
    "Walnut Wheat Willow Winter Wren"
)
_TOWN_ENDS = listed(
    "beck bury cliff combe croft dale den field ford gate ham haven holm hurst mere minster mouth port ridge sea "
    "side stead thorpe ton wick worth"
)
_ADJECTIVES = listed(
    "Amber Blue Bold Bright Broken Burning Crimson Distant Early Empty Fallen First Frozen Gentle Golden Green "
    "Hidden Hollow Last Lonely Lost Northern Pale Patient Quiet Red Restless Scarlet Second Secret Silent Silver "
    "Southern Stolen Summer Wandering Western White Wild Winter"
)
_NOUNS = listed(
    "Anchor Arrow Bell Castle Cloud Compass Crown Daughter Dawn Door Falcon Feather Field Fire Forest Garden Gate "
    "Harbour Heron Hill House Island Journey King Lantern Letter Meadow Mirror Moon Mountain Orchard Promise Queen "
    "Raven Road Rose Shadow Shore Sparrow Star Storm Stranger Street Swan Tide Tower Traveller Valley Voyage Window"
)


def person_name(rng: Random) -> Name:
    """A person with first name and surname."""
    surname = pick(rng, _SURNAMES)
    if rng.random() < 0.5:
        return Name(full=f"{pick(rng, _WOMEN)} {surname}", short=surname, mark=surname, pronoun="she")
    return Name(full=f"{pick(rng, _MEN)} {surname}", short=surname, mark=surname, pronoun="he")


def surname(rng: Random) -> str:
    """A surname alone."""
    return pick(rng, _SURNAMES)


def town_name(rng: Random) -> str:
    """A town."""
    return place_name(rng, _TOWN_ENDS)


def place_name(rng: Random, ends: Sequence[str]) -> str:
    """A name made of a common word and one of the ends ("Falcon" + "mere")."""
    return pick(rng, _PLACE_STARTS) + pick(rng, ends)


def river_name(rng: Random) -> str:
    """A river, without article."""
    return f"River {place_name(rng, ('beck', 'brook', 'burn', 'dale', 'mere', 'wash', 'water', 'well'))}"


def mountain_name(rng: Random) -> str:
    """A mountain."""
    return f"Mount {place_name(rng, ('back', 'cliff', 'crest', 'head', 'horn', 'peak', 'ridge', 'stone', 'top'))}"


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
    """A quantity with its unit ("212 kilometres"), or a bare number where the sentence names what it counts."""

    def draw(rng: Random, _year: int) -> str:
        return f"{pick(rng, range(lowest, highest + 1, step)):,} {unit}".rstrip()

    return AnswerType(name=unit or "number", draw=draw)


PERSON = AnswerType(name="person", draw=lambda rng, _year: person_name(rng).full)
TOWN = AnswerType(name="town", draw=lambda rng, _year: town_name(rng))
TITLE = AnswerType(name="title", draw=lambda rng, _year: f"The {title_name(rng)}")
RIVER = AnswerType(name="river", draw=lambda rng, _year: river_name(rng))
MOUNTAIN = AnswerType(name="mountain", draw=lambda rng, _year: mountain_name(rng))
