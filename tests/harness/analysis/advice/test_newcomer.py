"""A strategy in one file of its own: it is advised, and its conflict kept, with no other file knowing its name."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from harness import registry
from harness.errors import StrategyError
from harness.records.files import write_json
from harness.records.store import RUN_FILE
from reports.build import build_reports

NEWCOMER = """
from harness.registry import register
from harness.strategy import Effect, Stage, Strategy


@register
class LazyUpdates(Strategy):
    name = "lazy_updates"
    summary = "Fewer updates"
    effect = Effect.NEW_SCHEDULE
    stage = Stage.OPTIMIZER
    addresses = ("optimizer",)
    conflicts = ("larger_batches",)

    def apply(self, setup):
        return setup
"""


def test_a_plugin_that_was_not_run_is_advised_in_the_report(make_run, tmp_path):
    plugin = tmp_path / "lazy_updates.py"
    plugin.write_text(NEWCOMER)
    registry.load_all((str(plugin),))
    run = make_run(seeds=1)
    head = json.loads((run / RUN_FILE).read_text()) | {"catalogue": [asdict(one) for one in registry.catalogue()]}
    write_json(run / RUN_FILE, head)
    build_reports(run)
    finding = next(line for line in (run / "report.md").read_text().splitlines() if line.startswith("- **optimizer**"))
    assert "`fused_adamw`" in finding
    assert "`lazy_updates`" in finding
    for stack in ("larger_batches+lazy_updates", "lazy_updates+larger_batches"):
        with pytest.raises(StrategyError, match="can't be combined with"):
            registry.resolve(stack)
