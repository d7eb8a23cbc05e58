"""Named stacks: spelled out for this device before anything runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import registry
from harness.cli.applicability import check_applicability
from harness.errors import StrategyError
from harness.experiment.applicability import spell_out_stacks
from harness.presets import preset


@pytest.fixture(autouse=True)
def _loaded():
    registry.load_all()


def test_best_is_spelled_out_in_contenders_and_baseline_and_leaves_other_names_alone():
    config = replace(preset("smoke"), device="cpu", baseline="best", contenders=("fused_adamw", "best+sdpa"))
    spelled = spell_out_stacks(config)
    assert spelled.contenders[0] == "fused_adamw"
    assert spelled.contenders[1] == f"{spelled.baseline}+sdpa"
    assert {"unpadded", "fused_adamw"} <= {strategy.name for strategy in registry.resolve(spelled.baseline)}


def test_a_configuration_without_named_stacks_stays_the_same_object():
    config = preset("smoke")
    assert spell_out_stacks(config) is config


def test_a_part_that_does_not_apply_is_left_out():
    assert "amp_bf16" not in registry.spell_out("best", "cpu", lambda name: name != "amp_bf16").split("+")


def test_a_stack_of_which_nothing_applies_is_an_error():
    with pytest.raises(StrategyError, match="nothing of the stack 'best' can be applied on cpu"):
        registry.spell_out("best", "cpu", lambda _: False)


def test_what_is_named_twice_runs_once():
    config = replace(preset("smoke"), device="cpu", contenders=("best", "best"))
    assert len(spell_out_stacks(config).contenders) == 1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_named_stack_is_one_that_can_be_built(device):
    for stack in registry.named_stacks():
        assert len(registry.resolve("+".join(stack.parts[device]))) == len(stack.parts[device])


def test_a_stack_may_not_take_the_name_of_a_strategy():
    with pytest.raises(StrategyError, match="taken"):
        registry.register_stack(registry.NamedStack(name="sdpa", summary="", parts={}))


def test_a_stack_may_not_take_the_name_of_another_stack_but_be_imported_twice(monkeypatch):
    monkeypatch.setattr(registry, "_stacks", dict(registry._stacks))
    (best,) = (stack for stack in registry.named_stacks() if stack.name == "best")
    registry.register_stack(replace(best))
    with pytest.raises(StrategyError, match="taken"):
        registry.register_stack(replace(best, parts={}))


def test_the_list_says_of_a_stack_that_nothing_of_it_applies_here(monkeypatch):
    monkeypatch.setattr(registry, "_stacks", dict(registry._stacks))
    registry.register_stack(registry.NamedStack(name="elsewhere", summary="for others", parts={"tpu": ("sdpa",)}))
    (row,) = (row for row in check_applicability() if row.name == "elsewhere")
    assert "nothing of the stack 'elsewhere' can be applied" in row.reason
