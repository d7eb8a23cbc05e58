"""Records of earlier versions in the form of the present one."""

from __future__ import annotations

import json

import pytest

from harness import registry
from harness.records.serialise import build
from harness.records.strategy import BOTTLENECKS, StrategyRecord
from harness.records.trial import Settings
from harness.records.upgrade import CATALOGUE_2, UPGRADES


@pytest.mark.parametrize(
    ("knobs", "settings"),
    [
        ({}, Settings()),
        ({"forward dtype": "float32", "TF32": "off"}, Settings(forward_dtype="float32")),
        ({"forward dtype": "float32", "TF32": "on"}, Settings(forward_dtype="tf32")),
        ({"forward dtype": "bfloat16 autocast", "TF32": "on"}, Settings(forward_dtype="bfloat16")),
        ({"forward dtype": "float32", "weights dtype": "bfloat16"}, Settings(forward_dtype="bfloat16")),
        ({"attention": "sdpa", "compile": "Inductor, 6 blocks"}, Settings(attention="sdpa", compiles=True)),
        ({"optimizer": "AdamW, foreach=None, fused=True", "compile": "off"}, Settings(fused_optimizer=True)),
        ({"optimizer": "AdamW, foreach=False, fused=False"}, Settings(fused_optimizer=False)),
    ],
)
def test_settings_are_read_from_what_schema_2_said_in_words(knobs, settings):
    upgraded = UPGRADES[2, "TrialRecord"]({"schema_version": 2, "knobs": knobs})
    assert build(Settings, upgraded["settings"]) == settings


def test_the_catalogue_of_schema_2_is_one_that_the_diagnosis_understands():
    records = [build(StrategyRecord, data) for data in json.loads(CATALOGUE_2.read_text(encoding="utf-8"))]
    assert {name for record in records for name in record.addresses} <= set(BOTTLENECKS)
    assert {record.name for record in records} <= set(registry.names())
