"""Records of earlier versions, as plain data, in the form of the present one."""

from __future__ import annotations

from typing import Any

OLDEST = 2
"""Schema version from which on records are still read."""

SCORING_2 = {"metrics": [{"name": "em", "title": "EM"}, {"name": "f1", "title": "F1"}], "headline": "f1"}
"""Schema 2 knew question answering alone."""


def upgrade(data: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the data of a record of class `kind`, whatever known version wrote it, as the present one writes it."""
    if data.get("schema_version") == 2 and kind in UPGRADES_2:
        return UPGRADES_2[kind](data)
    return data


def upgrade_prediction(data: dict[str, Any]) -> dict[str, Any]:
    """Return an answer with its scores by name; files of predictions bear no version."""
    return data if "scores" in data else _with_scores(data)


def _with_scores(data: dict[str, Any]) -> dict[str, Any]:
    names = ("em", "f1")
    scores = {name: data[name] for name in names if data.get(name) is not None}
    return {key: value for key, value in data.items() if key not in names} | {"scores": scores}


def _run(data: dict[str, Any]) -> dict[str, Any]:
    config = data["config"]
    quality = dict(config["quality"])
    em, f1 = quality.pop("margin_em"), quality.pop("margin_f1")
    margins = {"margin": f1} if em == f1 else {"margins": {"em": em, "f1": f1}}
    config = config | {"quality": quality | margins}
    return data | {"schema_version": 3, "config": config, "scoring": SCORING_2}


def _trial(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"schema_version": 3, "epochs": [_with_scores(epoch) for epoch in data.get("epochs", ())]}


UPGRADES_2 = {"RunRecord": _run, "TrialRecord": _trial}
