"""Registration, look-up and stacks."""

from __future__ import annotations

import pytest

from harness import registry
from harness.errors import StrategyError
from harness.strategy import Effect, Stage, Strategy


@pytest.fixture
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_strategies", dict(registry._strategies))


def make_strategy(strategy_name):
    class Sample(Strategy):
        name = strategy_name
        summary = "for tests"
        effect = Effect.SAME_MATH
        stage = Stage.DATA

        def apply(self, setup):
            return setup

    return Sample


def test_unknown_name_gets_a_suggestion():
    with pytest.raises(StrategyError, match="did you mean fused_adamw"):
        registry.resolve("fused_adam")


def test_stack_is_ordered_by_stage_not_by_the_order_of_names():
    assert [part.name for part in registry.resolve("compile+fused_adamw+sdpa")] == ["sdpa", "fused_adamw", "compile"]


def test_baseline_has_no_parts():
    assert registry.resolve("baseline") == []


@pytest.mark.parametrize("stack", ["sdpa+sdpa", "baseline+sdpa"])
def test_repeated_parts_are_refused(stack):
    with pytest.raises(StrategyError, match="twice"):
        registry.resolve(stack)


@pytest.mark.usefixtures("_own_registry")
def test_a_taken_name_is_refused():
    registry.register(make_strategy("sample"))
    other = make_strategy("sample")
    other.__qualname__ = "Other"
    with pytest.raises(StrategyError, match="two strategies are named 'sample'"):
        registry.register(other)


@pytest.mark.parametrize("name", ["baseline", "a+b", "with space", "best"])
def test_names_that_would_break_stacks_are_refused(name):
    with pytest.raises(StrategyError, match="can't be used"):
        registry.register(make_strategy(name))


@pytest.mark.usefixtures("_own_registry")
def test_only_phases_that_a_job_has_can_be_declared():
    sample = make_strategy("sample")
    sample.phases = ("imports", "training")
    with pytest.raises(StrategyError, match="declares the phase 'training'"):
        registry.register(sample)
    sample.phases = ("imports",)
    assert registry.describe(registry.register(sample)).phases == ("imports",)


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [("addresses", ("optimiser",), "bottleneck 'optimiser'"), ("devices", ("gpu",), "device 'gpu'")],
)
def test_what_the_diagnosis_does_not_know_cant_be_declared(attribute, value, words):
    sample = make_strategy("sample")
    setattr(sample, attribute, value)
    with pytest.raises(StrategyError, match=words):
        registry.register(sample)


@pytest.mark.usefixtures("_own_registry")
def test_it_is_enough_that_one_of_two_names_the_conflict():
    sample = make_strategy("sample")
    sample.conflicts = ("sdpa",)
    registry.register(sample)
    for stack in ("sample+sdpa", "sdpa+fused_adamw+sample"):
        with pytest.raises(StrategyError, match="can't be combined with"):
            registry.resolve(stack)
    assert len(registry.resolve("sample+fused_adamw")) == 2


@pytest.mark.usefixtures("_own_registry")
def test_the_catalogue_has_plugins_too_and_those_first_that_change_least():
    registry.register(make_strategy("sample"))
    records = registry.catalogue()
    assert {record.name for record in records} == set(registry.names())
    effects = list(dict.fromkeys(record.effect for record in records))
    assert effects == [effect.name for effect in Effect if effect.name in effects]
    assert next(record for record in records if record.name == "sample").addresses == ()


@pytest.mark.usefixtures("_own_registry")
def test_a_plugin_file_registers_its_strategy(tmp_path):
    file = tmp_path / "my_trick.py"
    file.write_text(
        "from harness.registry import register\n"
        "from harness.strategy import Effect, Stage, Strategy\n"
        "@register\n"
        "class MyTrick(Strategy):\n"
        "    name = 'my_trick'\n    summary = 's'\n    effect = Effect.SAME_MATH\n    stage = Stage.DATA\n"
        "    def apply(self, setup):\n        return setup\n"
    )
    registry.load_all((str(file),))
    assert registry.get("my_trick").summary == "s"


@pytest.mark.parametrize("plugin", ["no/such/file.py", "no_such_module"])
def test_a_plugin_that_is_not_there_is_named(plugin):
    with pytest.raises(StrategyError, match=plugin):
        registry.load_all((plugin,))


def test_a_peer_stands_alone():
    assert [part.name for part in registry.resolve("hf_trainer")] == ["hf_trainer"]
    with pytest.raises(StrategyError, match="hf_trainer is a peer"):
        registry.resolve("sdpa+hf_trainer")
