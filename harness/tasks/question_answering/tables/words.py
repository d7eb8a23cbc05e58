"""Answers of the built-in generator that are taken from lists of common words."""

from __future__ import annotations

from harness.tasks.question_answering.tables.values import words

SCIENCES = words(
    "science",
    "botany, astronomy, geology, chemistry, marine biology, optics, anatomy, meteorology, mineralogy, physics, "
    "entomology, number theory, acoustics, plant genetics, magnetism, hydraulics",
)
DISCOVERIES = words(
    "discovery",
    "the cause of swamp fever, a method of purifying copper, the rings of a distant planet, a rare blue orchid, "
    "a vaccine for sheep, the speed of sound in ice, a new species of beetle, the age of the chalk cliffs, "
    "a cure for potato blight, a double star, the structure of quartz, an acid in unripe fruit, a fossil forest, "
    "the magnetic storm cycle, a law of falling drops, a green dye from lichen",
)
JOBS = words(
    "job",
    "a schoolteacher, a bank clerk, a lighthouse keeper, a baker, a journalist, a carpenter, a nurse, a shoemaker, "
    "a railway guard, a gardener, a translator, a watchmaker, a sailor, a librarian, a tailor, a court reporter",
)
LANGUAGES = words(
    "language",
    "French, Italian, Russian, Portuguese, Swedish, Arabic, Japanese, Polish, Dutch, Greek, Turkish, Hungarian, "
    "Danish, Persian, Spanish, Finnish",
)
INSTRUMENTS = words(
    "instrument",
    "the cello, the flute, the organ, the harp, the oboe, the violin, the trumpet, the lute, the clarinet, the viola, "
    "the bassoon, the piano, the horn, the guitar, the mandolin, the drums",
)
SPORTS = words(
    "sport",
    "rowing, fencing, swimming, archery, the high jump, the marathon, speed skating, wrestling, cycling, the javelin, "
    "tennis, the pole vault, diving, weightlifting, judo, cross-country skiing",
)
REFORMS = words(
    "reform",
    "free public libraries, a tax on windows, clean drinking water, night schools, street lighting, "
    "a pension for miners, votes for tenants, a ban on fireworks, cheaper bread, public gardens, school meals, "
    "a shorter working week, a hospital for the poor, covered markets, lower harbour fees",
)
MATERIALS = words(
    "material",
    "granite, red brick, limestone, cast iron, oak, sandstone, basalt, steel, white marble, rough fieldstone, "
    "slate, flint, yellow brick, pine, wrought iron",
)
ROCKS = words(
    "rock",
    "granite, limestone, sandstone, basalt, slate, quartzite, gneiss, dolomite, marble, chalk, schist, gabbro, "
    "volcanic tuff, red porphyry",
)
GOODS = words(
    "goods",
    "glass, cheese, paper, wool, clocks, leather gloves, cider, pottery, honey, rope, lace, silk, salt, bells, knives, "
    "boots, umbrellas, candles",
)
PRODUCTS = words(
    "product",
    "steam engines, bicycles, typewriters, microscopes, sewing machines, fountain pens, pianos, tractors, telephones, "
    "cameras, toy trains, kitchen stoves, fire engines, elevators, wristwatches, fishing boats, light bulbs",
)
CARGOES = words(
    "cargo",
    "coal, timber, wheat, tea, coffee, cotton, copper ore, sugar, salted fish, wine, marble, rice, spices, iron rails, "
    "olive oil, cement, livestock",
)
USES = words(
    "use",
    "a prison, a hospital, a school, a grain store, a hotel, a barracks, an observatory, a courthouse, a brewery, "
    "a monastery, a post office, a theatre, a customs house, a library",
)
TREASURES = words(
    "treasure",
    "a bronze mask, a silver chess set, a painted harp, a whale skeleton, a Roman helmet, a jade dragon, "
    "a clockwork bird, a gold cup, a woven sail, a marble lion, a medieval globe, a glass piano, an ivory comb, "
    "a royal sledge, a stone calendar",
)
GOALS = words(
    "goal",
    "the source of a great river, a northern sea route, an active volcano, a ruined temple, a hidden salt lake, "
    "the magnetic pole, a lost caravan road, a colony of penguins, a meteorite crater, the highest glacier, "
    "a drowned city, a herd of wild horses, a cave of ice, the edge of the desert",
)
DISHES = words(
    "dish",
    "plum dumplings, smoked eel, chestnut soup, honey cakes, roast goose, fish stew, almond bread, pumpkin pie, "
    "goat cheese, pickled herring, lamb pies, potato pancakes, cherry tart, mushroom broth, ginger biscuits",
)
MONTHS = words(
    "month",
    "January, February, March, April, May, June, July, August, September, October, November, December",
)
FISH = words(
    "fish", "trout, salmon, pike, carp, perch, eel, sturgeon, bream, grayling, catfish, barbel, roach, zander, lamprey"
)
CROPS = words(
    "crop",
    "olives, barley, sugar cane, lemons, potatoes, grapes, bananas, rye, almonds, tobacco, figs, vanilla, oats, "
    "tomatoes, cocoa, onions, saffron",
)
DIETS = words(
    "diet",
    "beetles, small crabs, pine seeds, earthworms, snails, wild berries, minnows, moths, grasshoppers, spiders, "
    "acorns, frogs, nectar, ants, water plants",
)
NESTS = words(
    "nesting place",
    "hollow trees, reed beds, sea cliffs, old barns, thorn bushes, gravel banks, tall pines, church towers, heather, "
    "river banks, stone walls, tree ferns, sand dunes, disused quarries",
)
