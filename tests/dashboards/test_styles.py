"""The style sheet's promises: both ways into the dark theme agree, and every pair of text and surface is legible."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSS = (ROOT / "dashboards/static/dashboards/app.css").read_text()
AA_TEXT = 4.5  # https://www.w3.org/TR/WCAG22/#contrast-minimum
KINDS = ("agent", "llm", "tool", "retriever", "embedding", "chain", "guardrail", "evaluator", "other")
TEXT_ON_ANY_SURFACE = ("text", "text-muted", "accent", "ok", "error", "warn", "running", *(f"kind-{kind}" for kind in KINDS))


def _variables(selector: str) -> dict[str, str]:
    block = re.search(re.escape(selector) + r"\s*\{(.*?)\}", CSS, re.S)
    assert block is not None
    return dict(re.findall(r"--([\w-]+):\s*(.+?);", block[1]))


LIGHT = _variables(":root")
DARK = _variables(':root[data-theme="dark"]')


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_dark_theme_by_system_and_by_choice_are_the_same() -> None:
    assert _variables(':root:not([data-theme="light"])') == DARK


def test_dark_theme_redefines_every_colour_of_the_light_one() -> None:
    colours = {name for name, value in LIGHT.items() if value.startswith(("#", "rgb"))}

    assert colours <= set(DARK)


@pytest.mark.parametrize("sheet", sorted(ROOT.glob("*/static/*/*.css")), ids=lambda sheet: sheet.stem)
def test_size_of_text_that_has_a_name_is_called_by_it(sheet: Path) -> None:
    # Not that of a body: on a phone it is another.
    named = {value for name, value in LIGHT.items() if name.startswith("size-") and name != "size-body"}

    assert named.isdisjoint(re.findall(r"font(?:-size)?: [^;{}]*?(\d+px)(?=/|;)", sheet.read_text()))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("surface", ["bg", "surface", "surface-2", "surface-hover"])
@pytest.mark.parametrize("text", TEXT_ON_ANY_SURFACE)
def test_text_is_legible_on_every_surface(theme: dict[str, str], surface: str, text: str) -> None:
    assert _contrast(theme[text], theme[surface]) >= AA_TEXT


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ok", "error", "warn", "running", "accent"])
def test_badges_are_legible_on_their_own_fill(theme: dict[str, str], name: str) -> None:
    assert _contrast(theme[name], theme[f"{name}-soft"]) >= AA_TEXT
    assert _contrast(theme["text"], theme[f"{name}-soft"]) >= AA_TEXT


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_both_sides_of_a_comparison_are_seen(theme: dict[str, str]) -> None:
    for side in ("accent", "error", "chart-other"):
        assert _contrast(theme[side], theme["surface"]) >= 3  # https://www.w3.org/TR/WCAG22/#non-text-contrast


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_primary_buttons_are_legible(theme: dict[str, str]) -> None:
    assert _contrast(theme["accent-text"], theme["accent"]) >= AA_TEXT
    assert _contrast(theme["accent-text"], theme["accent-hover"]) >= AA_TEXT


def _hue(colour: str) -> float:
    return colorsys.rgb_to_hls(*(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)))[0] * 360


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_step_looks_like_an_error(theme: dict[str, str], kind: str) -> None:
    apart = abs(_hue(theme[f"kind-{kind}"]) - _hue(theme["error"]))

    assert min(apart, 360 - apart) >= 25
