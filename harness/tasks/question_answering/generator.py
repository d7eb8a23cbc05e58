"""A built-in source of SQuAD-like questions, for work without any download: seeded, of any size, of SQuAD's lengths.

Training and validation sets are two calls with different seeds; most names of one don't occur in the other. The texts
are composed from tables, so a score on them says whether a model learns, not how well it reads.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

from harness.errors import ConfigError
from harness.tasks.question_answering.examples import Example
from harness.tasks.question_answering.passages import write_passage
from harness.tasks.question_answering.tables import pick

SMALLEST_MEAN_TOKENS = 40

_LENGTH_QUANTILES = (
    (0.0, 0.40),
    (0.01, 0.47),
    (0.05, 0.57),
    (0.10, 0.62),
    (0.25, 0.74),
    (0.50, 0.91),
    (0.75, 1.19),
    (0.90, 1.42),
    (0.95, 1.75),
    (0.99, 2.11),
    (1.0, 2.50),
)
"""Share of the examples, and the length they stay below as a multiple of the mean. Fitted so that lengths counted with
bert-base-uncased come out like those of SQuAD v1.1; joined sections make the longest a little longer than planned."""

_QUESTION_AND_SPECIAL_TOKENS = 12


def generate_examples(*, size: int, seed: int, mean_tokens: int = 180) -> list[Example]:
    """A data set of `size` examples, the same for the same arguments on every machine.

    Two to five consecutive ones share their passage; sets with different seeds are independent of each other.
    `mean_tokens` is the mean length of question and passage with special tokens, in bert-base-uncased word pieces.
    ConfigError if `size` is below 1 or `mean_tokens` below 40.
    """
    if size < 1:
        raise ConfigError(f"size is {size}: a data set needs at least one example", remedy="give a size of 1 or more")
    if mean_tokens < SMALLEST_MEAN_TOKENS:
        raise ConfigError(
            f"mean_tokens is {mean_tokens}: too short for a question with a passage of two facts",
            remedy=f"give a mean length of {SMALLEST_MEAN_TOKENS} tokens or more",
        )
    rng = Random(f"seed {seed}, mean_tokens {mean_tokens}")
    examples: list[Example] = []
    # A short passage may hold two facts only. Were the longer ones asked more, they would be too large a share.
    most = max(2, min(mean_tokens // 20, 5))
    while len(examples) < size:
        share = rng.random()
        (low_share, low), (high_share, high) = next(ends for ends in pairwise(_LENGTH_QUANTILES) if share <= ends[1][0])
        length = (low + (high - low) * (share - low_share) / (high_share - low_share)) * mean_tokens
        passage = write_passage(rng, length - _QUESTION_AND_SPECIAL_TOKENS)
        # Facts next to random places are asked for, so that answers are spread over the passage.
        left, chosen = list(passage.facts), []
        for _ in range(min(pick(rng, range(2, most + 1)), len(left))):
            place = rng.random() * len(passage.text)
            chosen.append(min(left, key=lambda fact: abs(fact.answers[0].start - place)))
            left.remove(chosen[-1])
        for fact in chosen[: size - len(examples)]:
            name = fact.thing.full if rng.random() < 0.75 else fact.thing.short
            asked = pick(rng, fact.kind.asks).replace("{n}", name)
            key, question = f"gen-{seed}-{len(examples)}", asked[0].upper() + asked[1:]
            examples.append(Example(id=key, question=question, context=passage.text, answers=fact.answers))
    return examples
