"""The page about the design system shows what the style sheet holds."""

from __future__ import annotations

import pytest
from django.test import Client

from dashboards.design import read_tokens
from tests.dashboards.test_styles import DARK, LIGHT

# Behind popovers: no surface, no text.
ELSEWHERE = {"popover-shadow"}


def test_every_colour_stands_in_one_group() -> None:
    shown = [colour.name for group in read_tokens().groups for colour in group.colours]

    assert len(shown) == len(set(shown))
    assert set(shown) == set(DARK) - ELSEWHERE


def test_every_other_token_is_a_length_or_a_font() -> None:
    tokens = read_tokens()

    assert {name for name, _ in tokens.spaces + tokens.sizes} == set(LIGHT) - set(DARK)
    assert all(value.endswith("px") for _, value in tokens.spaces)


@pytest.mark.usefixtures("default_project")
def test_page_shows_tokens_and_icons(client: Client) -> None:
    html = client.get("/help/design").content.decode()

    assert "--kind-retriever" in html
    assert "#guardrail" in html
