"""The tokens of the design system, read from the style sheet that every page uses: the page about them cannot fall behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

STATIC = Path(__file__).parent / "static/dashboards"
_VARIABLE = re.compile(r"--([\w-]+): ([^;]+);")
# (heading, what it is for, names): what a name begins with, when it ends in "-".
_GROUPS = (
    (
        "Surfaces",
        "What things lie on, from the page up.",
        ("bg", "surface", "surface-", "border", "border-", "overlay", "selection"),
    ),
    (
        "Text and accent",
        "Legible on every surface (4.5 to 1 or more); one accent, for what can be acted on.",
        ("text", "text-", "accent", "accent-"),
    ),
    (
        "Outcomes",
        "Red is for errors alone. The soft ones are fills; never colour without a word or an icon.",
        ("ok", "ok-", "error", "error-", "warn", "warn-", "running", "running-"),
    ),
    ("Charts", "What marks stand before, and the other side of a comparison.", ("chart-",)),
    ("Kinds of steps", "With the icon of the kind. None looks like an error.", ("kind-",)),
)


@dataclass(frozen=True)
class Colour:
    name: str
    light: str
    dark: str


@dataclass(frozen=True)
class ColourGroup:
    heading: str
    purpose: str
    colours: list[Colour]


@dataclass(frozen=True)
class Tokens:
    """`spaces` and `sizes` are (name, value) as the style sheet writes it, such as ("space-1", "4px")."""

    groups: list[ColourGroup]
    spaces: list[tuple[str, str]]
    sizes: list[tuple[str, str]]
    icons: list[str]


@cache
def read_tokens() -> Tokens:
    """Return every token of app.css and every icon of the sprite."""
    css = (STATIC / "app.css").read_text()
    light, dark = _read_block(css, ":root {"), _read_block(css, ':root[data-theme="dark"] {')
    groups = [
        ColourGroup(
            heading, purpose, [Colour(name, light[name], dark[name]) for name in light if name in dark and _is_in(name, names)]
        )
        for heading, purpose, names in _GROUPS
    ]
    rest = [(name, value) for name, value in light.items() if name not in dark]
    return Tokens(
        groups,
        [(name, value) for name, value in rest if name.startswith("space-")],
        [(name, value) for name, value in rest if not name.startswith("space-")],
        re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()),
    )


def _read_block(css: str, opening: str) -> dict[str, str]:
    start = css.index(opening)
    return dict(_VARIABLE.findall(css[start : css.index("\n}", start)]))


def _is_in(name: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(wanted) if wanted.endswith("-") else name == wanted for wanted in names)
