"""Which evaluations are provably the baseline's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.analysis.evidence.sameness import evaluates_alike
from harness.records.checks import FootprintRecord

BASELINE = FootprintRecord(
    training={"aten::mm": 12, "aten::_foreach_add": 4},
    evaluation={"aten::mm": 4},
    parameters_sha256="abc",
    host_code={"evaluate": "loop.evaluate#1", "collate": "data.collate#1", "make_step": "loop.make_step#1"},
    flags={"threads": "2"},
)


def test_what_changes_training_alone_evaluates_alike():
    other = replace(BASELINE, training={"aten::mm": 12, "aten::_fused_adamw": 1})
    assert evaluates_alike(BASELINE, replace(other, host_code=BASELINE.host_code | {"make_step": "mine.make_step#2"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluation": {"aten::mm": 5}},
        {"parameters_sha256": "def"},
        {"host_code": BASELINE.host_code | {"evaluate": "mine.evaluate#2"}},
        {"flags": {"threads": "1"}},
    ],
)
def test_other_operators_weights_code_or_settings_do_not(changes):
    assert not evaluates_alike(BASELINE, replace(BASELINE, **changes))


def test_nothing_that_was_seen_proves_nothing():
    empty = replace(BASELINE, evaluation={})
    assert not evaluates_alike(empty, empty)
