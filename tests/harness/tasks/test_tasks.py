"""One contract over every task, on tiny models: what everything else relies on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness import registry
from harness.config import RunConfig
from harness.data.packing import is_packed, pack_batch
from harness.errors import ConfigError, DataError
from harness.experiment.inputs import Inputs, load_inputs, load_tokenised, with_quality_set
from harness.experiment.trial import apply_strategies
from harness.presets import preset
from harness.records.serialise import override
from harness.strategy import TrainSetup
from harness.tasks import TASKS, get_task
from harness.training.baseline import build_baseline
from harness.training.evaluation import evaluate_in_batches
from harness.training.evaluation_check import check_evaluation
from harness.training.loop import make_trainer, train_epoch
from harness.training.model import load_model
from optimizations.graphs.shapes import fill_bucket

CPU = torch.device("cpu")
SIZES = {
    "distilbert-base-uncased": {
        "dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2,
        "dropout": 0.0, "attention_dropout": 0.0, "qa_dropout": 0.0, "seq_classif_dropout": 0.0,
    },
    "bert-base-uncased": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    },
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("needs_bundled")


def configured(task: str, source: str = "distilbert-base-uncased") -> RunConfig:
    return override(preset("smoke"), {"task": task, "model.source": source, "model.overrides": SIZES[source]})


@pytest.fixture(scope="module", params=TASKS)
def task(request):
    return get_task(request.param)


@pytest.fixture(scope="module")
def inputs(task, tmp_path_factory) -> Inputs:
    config = configured(task.name)
    return load_tokenised(config, *load_inputs(config), tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=SIZES)
def setup(request, task, inputs) -> TrainSetup:
    return setup_of(task, inputs, request.param)


def setup_of(task, inputs, source="distilbert-base-uncased") -> TrainSetup:
    config = configured(task.name, source)
    model = load_model(config.model, head=inputs.head, seed=0, device=CPU)
    return build_baseline(config, model=model, pad_id=0, seed=0, device=CPU)


def unpadded(setup: TrainSetup) -> TrainSetup:
    setup, refusal = apply_strategies(setup, registry.resolve("unpadded"))
    assert refusal is None
    return setup


def test_an_unknown_task_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ConfigError, match="no task 'translation'") as caught:
        get_task("translation")
    assert all(name in caught.value.remedy for name in TASKS)


def test_a_task_says_its_name_its_metrics_and_its_headline(task):
    assert task.name in TASKS
    names = [metric.name for metric in task.scoring.metrics]
    assert task.scoring.headline in names
    assert len(set(names)) == len(names)


def test_the_generator_depends_on_its_seed_alone_and_gives_ids_of_their_own(task):
    data = configured(task.name).data
    first, again = task.load(data), task.load(data)
    assert first == again
    assert [len(examples) for examples in first] == [data.train_size, data.validation_size]
    assert task.load(replace(data, generator_seed=1)) != first
    for examples in first:
        assert len({example.id for example in examples}) == len(examples)


def test_the_quality_set_begins_with_the_validation_set(task):
    config = configured(task.name)
    _, validation = load_inputs(config)
    _, larger = load_inputs(with_quality_set(config))
    assert len(larger) == config.data.quality_size > len(validation)
    assert larger[: len(validation)] == validation


def test_windows_carry_the_labels_and_stand_in_the_examples_order(task, inputs):
    windows = inputs.train_windows
    assert tuple(windows.labels) == task.labels
    assert windows.lengths.max() <= configured(task.name).data.max_length
    assert (np.diff(windows.example_index) >= 0).all()
    assert any(values.any() for values in windows.labels.values())
    assert not any(values.any() for values in inputs.validation_windows.labels.values())


def test_the_second_time_windows_come_from_the_cache(task, tmp_path):
    config = configured(task.name)
    made, read = (load_tokenised(config, *load_inputs(config), tmp_path) for _ in range(2))
    assert (made.from_cache, read.from_cache) == (False, True)
    for name, values in made.train_windows.arrays().items():
        assert np.array_equal(values, read.train_windows.arrays()[name]), name


def test_the_head_is_as_large_as_the_data_say(task, inputs, setup):
    counted = sum(parameter.numel() for parameter in setup.model.parameters())
    base = sum(parameter.numel() for parameter in setup.model.base_model.parameters())
    # BERT's pooler is part of its base, and only there for classification.
    pooler = getattr(setup.model.base_model, "pooler", None)
    base -= sum(parameter.numel() for parameter in pooler.parameters()) if pooler is not None else 0
    assert counted - base == task.head_parameters(32, inputs.head.classes)


def test_packed_batches_have_the_loss_and_the_gradients_of_padded_ones(inputs, setup):
    batch = setup.collate(inputs.train_windows, np.arange(6))
    padded = gradients_of(setup, batch)
    packed = gradients_of(unpadded(setup), pack_batch(batch))
    assert packed.keys() == padded.keys()
    for name, gradient in padded.items():
        torch.testing.assert_close(packed[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def gradients_of(setup, batch):
    setup.model.zero_grad(set_to_none=True)
    loss = setup.forward_loss(setup.model, batch)
    loss.backward()
    gradients = {name: p.grad.clone() for name, p in setup.model.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients}


def test_a_packed_window_without_a_label_counts_for_nothing(inputs, setup):
    setup = unpadded(setup)
    batch = setup.collate(inputs.train_windows, np.arange(5))
    assert is_packed(batch)
    filled = fill_bucket(batch, max_length=setup.max_length)
    assert len(filled.inputs["cu_seqlens"]) == len(batch.inputs["cu_seqlens"]) + 1
    with torch.no_grad():
        losses = [setup.forward_loss(setup.model, one) for one in (batch, filled)]
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stack", ["unpadded", "fast_evaluation", "fast_evaluation+unpadded", "dynamic_padding"])
def test_strategies_evaluate_to_the_baselines_logits_and_the_check_says_so(stack, task, inputs, setup):
    expected = evaluate_in_batches(setup, inputs.validation_windows)
    assert len(expected) == len(task.logits)
    contender, _ = apply_strategies(setup, registry.resolve(stack))
    claimed = contender.evaluate(contender, inputs.validation_windows)
    assert all(len(rows) == len(inputs.validation_windows) for rows in claimed)
    config = configured(task.name)
    record = check_evaluation(contender, config, inputs.validation_windows, claimed, pad_id=0)
    assert record.problem is None
    assert record.error < 1e-5
    wrong = tuple(rows[::-1] for rows in claimed)
    assert check_evaluation(contender, config, inputs.validation_windows, wrong, pad_id=0).error > 1e-4


def test_answers_are_predicted_for_every_example_and_scored(task, inputs):
    setup = setup_of(task, inputs)
    logits = evaluate_in_batches(setup, inputs.validation_windows)
    answers = task.predict(inputs.validation_windows, logits, inputs.validation, configured(task.name).data)
    assert len(answers) == len(inputs.validation)
    ids = [example.id for example in inputs.validation]
    references = [task.references(example) for example in inputs.validation]
    scores, rows = task.score(ids, answers, references)
    assert list(scores) == [metric.name for metric in task.scoring.metrics]
    for name, score in scores.items():
        assert score == pytest.approx(100 * sum(row.scores[name] for row in rows) / len(rows))
    best, _ = task.score(ids, [reference[0] for reference in references], references)
    assert best == pytest.approx(dict.fromkeys(scores, 100.0))
    with pytest.raises(DataError):
        task.score(ids[:-1], answers, references)


def test_the_models_distribution_says_of_every_example_how_likely_its_answer_is(task, inputs):
    config, setup = configured(task.name), setup_of(task, inputs)
    logits = evaluate_in_batches(setup, inputs.validation_windows)
    rows = task.expect(inputs.validation_windows, logits, inputs.validation, config.data)
    names = {f"expected_{metric.name}" for metric in task.scoring.metrics}
    assert len(rows) == len(inputs.validation)
    for row in rows:
        assert "log_likelihood" in row
        assert row["log_likelihood"] <= 0.0
        assert {name for name in row if name in names} == row.keys() - {"log_likelihood"} != set()
        assert all(0.0 <= row[name] <= 1.0 for name in names & row.keys())


PORTABLE = [name for name in registry.names() if name not in ("batch_finder",)]


@pytest.mark.parametrize("name", PORTABLE)
def test_every_strategy_takes_steps_on_it_or_says_why_not(name, task, inputs):
    setup = setup_of(task, inputs)
    setup = replace(setup, training=replace(setup.training, max_steps=2))
    setup, refusal = apply_strategies(setup, registry.resolve(name))
    if refusal is not None:
        assert refusal
        return
    if name in ("compile", "compile_cached"):
        return  # wraps blocks that know no head; compiling takes half a minute
    result = train_epoch(make_trainer(setup, inputs.train_windows), epoch=1, first_step=1)
    assert len(result.steps) == 2
    assert all(np.isfinite(step.loss) and step.applied for step in result.steps)
    assert len(setup.evaluate(setup, inputs.validation_windows)) == len(task.logits)
