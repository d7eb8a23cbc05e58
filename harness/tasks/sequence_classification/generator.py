"""A built-in source of short reviews, for work without any download: seeded, of any size.

Each says in one sentence, among others that say nothing of it, how its writer liked something; `reviews.json` holds the
sentences and the words that tell. A score on them says whether a model learns, not how well it reads.
"""

from __future__ import annotations

import json
from importlib.resources import files
from random import Random

from harness.errors import ConfigError
from harness.tasks.sequence_classification.examples import Example

_TOKENS_PER_WORD = 1.25
"""Of these sentences, with bert-base-uncased; the full stops are counted in."""


def generate_examples(*, size: int, seed: int, mean_tokens: int) -> list[Example]:
    """Return `size` reviews, the same for the same arguments on every machine; lengths spread widely about the mean.

    Sets with different seeds are independent of each other. ConfigError if `size` is below 1.
    """
    if size < 1:
        raise ConfigError(f"size is {size}: a data set needs at least one example", remedy="give a size of 1 or more")
    rng = Random(f"reviews, seed {seed}, mean_tokens {mean_tokens}")
    tables = json.loads(files(__package__).joinpath("reviews.json").read_text(encoding="utf-8"))
    classes, shares = tables["classes"], [row["share"] for row in tables["classes"].values()]
    examples = []
    for number in range(size):
        (label,) = rng.choices(list(classes), shares)
        thing = rng.choice(tables["things"])
        blanks = {"thing": thing, "Thing": thing[0].upper() + thing[1:], "word": rng.choice(classes[label]["words"])}
        sentences = [rng.choice(classes[label]["sentences"]).format(**blanks)]
        wanted = rng.uniform(0.3, 1.7) * mean_tokens
        while sum(len(sentence.split()) for sentence in sentences) * _TOKENS_PER_WORD < wanted:
            drawn = {name: rng.choice(values) for name, values in tables["blanks"].items()}
            sentences.insert(rng.randrange(len(sentences) + 1), rng.choice(tables["fillers"]).format(**drawn))
        examples.append(Example(id=f"gen-{seed}-{number}", text=" ".join(sentences), label=label))
    return examples
