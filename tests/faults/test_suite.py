"""The short form of the faults suite, and the suite's own judgement of verdicts."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).with_name("suite.py")


@pytest.fixture(scope="module")
def suite():
    spec = importlib.util.spec_from_file_location("faults_suite", SUITE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("needs_bundled")
@pytest.mark.timeout(600)
def test_cheats_and_crashes_get_the_verdicts_they_must(suite, tmp_path):
    faults = tuple(fault for fault in suite.CHEATS if fault.name in suite.SHORT)
    assert len(faults) == len(suite.SHORT)
    outcomes = suite.run_faults(suite.cheat_config(faults, seed=0), faults, tmp_path)
    wrong = [(item.fault.name, item.verdict, item.reasons) for item in outcomes if not item.right]
    assert wrong == []


def test_a_right_verdict_for_another_reason_is_wrong(suite):
    fault = suite.fault("x", "REJECTED", reason="updates")
    assert suite.Outcome(fault=fault, verdict="REJECTED", reasons=("7 of 14 updates",)).right
    assert not suite.Outcome(fault=fault, verdict="REJECTED", reasons=("other text",)).right
    assert not suite.Outcome(fault=fault, verdict="ACCEPTED", reasons=("7 of 14 updates",)).right
