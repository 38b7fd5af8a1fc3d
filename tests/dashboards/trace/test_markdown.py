"""Markdown of strangers: laid out, never executed, nothing fetched."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.trace.markdown import MARKDOWN_CHARS, has_markup, is_safe_link, render_markdown

# What the renderer may write; everything else in its output is text.
_ATTRIBUTES = {
    "a": {"href", "title", "rel", "target"},
    "code": {"class"},
    "ol": {"start"},
    "span": {"class"},
    "th": {"class"},
    "td": {"class"},
}
_TAGS = {
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "ul", "ol", "li", "blockquote", "pre", "code", "hr", "br"),
    *("a", "span", "table", "thead", "tbody", "tr", "th", "td"),
}


class _Checker(HTMLParser):
    """Collects what of a page could do anything."""

    def __init__(self) -> None:
        super().__init__()
        self.strange: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag not in _TAGS or not names <= _ATTRIBUTES.get(tag, set()):
            self.strange.append(f"{tag} {names}")
        self.links += [value or "" for name, value in attrs if name == "href"]


def _check(text: str) -> _Checker:
    checker = _Checker()
    checker.feed(render_markdown(text))
    return checker


def test_markup_is_laid_out() -> None:
    html = render_markdown("# Refund\n\nThe **order** `A-1`:\n\n- paid\n- sent\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n")

    for part in (
        "<h1>Refund</h1>",
        "<strong>order</strong>",
        "<code>A-1</code>",
        "<li>paid</li>",
        '<td class="md__right">2</td>',
    ):
        assert part in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java\nscript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "[x](//elsewhere.example/x)",
        "[x](/logout)",
        "<javascript:alert(1)>",
        "[x]: javascript:alert(1)\n\n[x]",
        '[x](https://a.example/"onmouseover="alert(1))',
        '[x](https://a.example "\\" onmouseover=alert(1) x=\\"")',
        "![x](https://tracker.example/pixel.png)",
        '![" onerror=alert(1)](https://a.example/x.png)',
        "![x](data:image/svg+xml;base64,PHN2Zz4=)",
        "```js onclick=alert(1)\nx\n```",
        '```"><script>\nx\n```',
        "| a |\n|:-:|\n| <b onclick=x> |",
    ],
)
def test_hostile_text_stays_text(text: str) -> None:
    checker = _check(text)

    assert checker.strange == []
    assert all(re.match(r"https?://[\w.]+", link) for link in checker.links)


def test_image_elsewhere_becomes_a_link_and_is_not_fetched() -> None:
    html = render_markdown("![chart](https://a.example/x.png)")

    assert "<img" not in html
    assert 'href="https://a.example/x.png"' in html


def test_links_open_apart_and_show_where_they_lead() -> None:
    html = render_markdown("[our site](https://evil.example/)")

    assert 'rel="noopener noreferrer nofollow" target="_blank"' in html
    assert 'title="https://evil.example/"' in html


def test_characters_that_reorder_text_are_made_visible() -> None:
    assert "\\u202e" in render_markdown("**a\u202eb**")


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("https://a.example/x", True),
        ("http://a.example", True),
        ("mailto:a@b.example", True),
        ("javascript:alert(1)", False),
        ("data:image/png;base64,AAAA", False),
        ("ftp://a.example", False),
        ("https:", False),
        ("//a.example", False),
        ("/traces", False),
        ("http://[::1", False),
    ],
)
def test_only_addresses_of_the_web_and_of_mail_are_links(url: str, is_safe: bool) -> None:
    assert is_safe_link(url) is is_safe


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="<>[]()!\"'`*_~|-#=& \n\\:/ajvscript.x1", max_size=200))
def test_no_text_becomes_anything_but_layout(text: str) -> None:
    checker = _check(text)

    assert checker.strange == []
    assert all(is_safe_link(link) for link in checker.links)


@pytest.mark.parametrize(
    ("text", "is_markup"),
    [
        ("# Title", True),
        ("- a\n- b", True),
        ("1. a\n\n2. b", True),
        ("see [x](https://a.example)", True),
        ("**bold** words", True),
        ("```\ncode\n```", True),
        ("| a | b |\n|---|---|", True),
        ("plain words, 3 * 4 * 5", False),
        ("- a single dash", False),
        ('{"a": "b"}', False),
        ("snake_case_name and 2 ** 3", False),
        ("# " + "x" * MARKDOWN_CHARS, False),
    ],
)
def test_text_is_told_from_markup(text: str, is_markup: bool) -> None:
    assert has_markup(text) is is_markup
