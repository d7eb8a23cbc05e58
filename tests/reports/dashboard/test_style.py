"""Whether the colours can be told from the page (WCAG 2.2: 4.5:1 for text, 3:1 for what a chart is made of)."""

from __future__ import annotations

import re

import pytest

from reports.dashboard.plugin import STATIC_FOLDER

TEXT = ("text", "muted", "accent", "good", "bad", "caution")
CHART = ("blue", "orange", "green", "vermilion", "purple", "sky", "ink", "yellow", "grey", "slate")


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def palette(theme: str) -> dict[str, str]:
    css = (STATIC_FOLDER / "style.css").read_text(encoding="utf-8")
    block = {"light": r":root \{(.*?)\}", "dark": r':root\[data-theme="dark"\] \{(.*?)\}'}[theme]
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", re.search(block, css, re.DOTALL).group(1)))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out(theme: str) -> None:
    colours = palette(theme)
    for name in TEXT:
        assert contrast(colours[name], colours["page"]) >= 4.5, name
        assert contrast(colours[name], colours["raised"]) >= 4.5, name
    assert contrast(colours["text"], colours["caution-page"]) >= 4.5
    for name in CHART:
        assert contrast(colours[name], colours["page"]) >= 3, name
