"""Records of earlier versions, as plain data, in the form of the present one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

OLDEST = 2
"""Schema version from which on records are still read."""

SCORING_2 = {
    "metrics": [{"name": "em", "title": "EM"}, {"name": "f1", "title": "F1"}],
    "headline": "f1",
    "examples": "questions",
}
"""Schema 2 knew question answering alone."""

CATALOGUE_2 = Path(__file__).with_name("catalogue_2.json")
"""Strategies of the program that wrote schema 2, as they would have described themselves, in the order in which it
advised them."""


def with_scores(data: dict[str, Any]) -> dict[str, Any]:
    """Return an epoch or an answer with its scores by name; files of predictions bear no version."""
    if "scores" in data:
        return data
    names = ("em", "f1")
    scores = {name: data[name] for name in names if data.get(name) is not None}
    return {key: value for key, value in data.items() if key not in names} | {"scores": scores}


def _run(data: dict[str, Any]) -> dict[str, Any]:
    config = data["config"]
    quality = dict(config["quality"])
    em, f1 = quality.pop("margin_em"), quality.pop("margin_f1")
    margins = {"margin": f1} if em == f1 else {"margins": {"em": em, "f1": f1}}
    config = config | {"quality": quality | margins}
    catalogue = json.loads(CATALOGUE_2.read_text(encoding="utf-8"))
    return data | {"schema_version": 3, "config": config, "scoring": SCORING_2, "catalogue": catalogue}


def _trial(data: dict[str, Any]) -> dict[str, Any]:
    # Schema 2 told the analysis its settings in words: autocast's type, else the weights', else TF32 or fp32.
    knobs = data.get("knobs", {})
    forward = knobs.get("forward dtype", "").split(" ")[0] or None
    dtype = knobs.get("weights dtype", forward) if forward == "float32" else forward
    settings = {
        "forward_dtype": "tf32" if dtype == "float32" and knobs.get("TF32") == "on" else dtype,
        "attention": knobs.get("attention"),
        "fused_optimizer": "fused=True" in knobs["optimizer"] if "optimizer" in knobs else None,
        "compiles": knobs.get("compile", "off") != "off",
    }
    epochs = [with_scores(epoch) for epoch in data.get("epochs", ())]
    return data | {"schema_version": 3, "epochs": epochs, "settings": settings}


def _budget_of_run(data: dict[str, Any]) -> dict[str, Any]:
    # Until schema 3 the budget was each contender's, A/A's too, which was one process.
    config = data["config"]
    speed = dict(config.get("speed", {}))
    if "budget_s" in speed:
        speed["budget_s"] *= 1 + len(config.get("contenders", ()))
    return data | {"schema_version": 4, "config": config | {"speed": speed | {"restarts": 1}}}


UPGRADES: dict[tuple[int, str], Callable[[dict[str, Any]], dict[str, Any]]] = {
    (2, "RunRecord"): lambda data: _budget_of_run(_run(data)),
    (2, "TrialRecord"): _trial,
    (3, "RunRecord"): _budget_of_run,
}
"""By schema version and class of the record: the data as the present version writes it. Others are as they were."""
