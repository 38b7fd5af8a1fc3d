"""Markdown of strangers as HTML: raw HTML stays text, images are never fetched, links lead to the web or to mail alone. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.utils.html import escape
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from dashboards.text import make_visible

# Beyond this a text is shown as it is: rendering takes about a second per megabyte, and nobody reads that much layout.
MARKDOWN_CHARS = 20_000
_SCHEMES = ("http", "https", "mailto")
# What tells that somebody meant markup: a heading, a fence, a table, a quote, a list of two points, bold, code or a link.
_POINT = r" {0,3}(?:[-*+]|\d{1,3}[.)]) \S"
_MARKUP = re.compile(
    rf"^#{{1,6}} \S|^ {{0,3}}```|^\|.+\|\s*$\n^\|[\s:|-]+\|\s*$|^> \S|^{_POINT}[^\n]*\n(?:[^\n]*\n){{0,2}}{_POINT}"
    r"|\*\*[^\s*][^*\n]{0,200}\*\*|`[^`\n]{1,200}`|\]\(https?://",
    re.MULTILINE,
)


def has_markup(text: str) -> bool:
    """Tell whether a text looks as if it was written as Markdown and is short enough to be shown so."""
    return len(text) <= MARKDOWN_CHARS and _MARKUP.search(text) is not None


def render_markdown(text: str) -> SafeString:
    """Return HTML of a text of at most MARKDOWN_CHARS (what is longer is cut), invisible characters made visible."""
    return SafeString(_PARSER.render(make_visible(text[:MARKDOWN_CHARS])))  # the renderer escapes all text


def is_safe_link(url: str) -> bool:
    """Tell whether a link may be followed: an absolute address of the web, or of mail."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return False
    return parts.scheme.lower() in _SCHEMES and bool(parts.netloc or parts.scheme.lower() == "mailto")


class _Renderer(RendererHTML):
    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """An image on another host would tell that host who reads: its text and a link stand for it."""
        token = tokens[idx]
        label = escape(token.content or "image")
        url = str(token.attrGet("src") or "")
        link = f' <a href="{escape(url)}" title="{escape(url)}" rel="noopener noreferrer nofollow" target="_blank">{label}</a>'
        return f'<span class="md__image">image:{link if is_safe_link(url) else " " + label}</span>'

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """The address shows on pointing at it, opens apart and learns nothing of where it stood."""
        token = tokens[idx]
        token.attrSet("title", str(token.attrGet("href") or ""))
        token.attrSet("rel", "noopener noreferrer nofollow")
        token.attrSet("target", "_blank")
        return self.renderToken(tokens, idx, options, env)

    def th_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        """Columns are aligned by a class: the page's policy allows no inline style."""
        style = str(tokens[idx].attrs.pop("style", ""))
        if style:
            tokens[idx].attrSet("class", f"md__{style.rpartition(':')[2]}")
        return self.renderToken(tokens, idx, options, env)

    td_open = th_open


def _build_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 12}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"])
    parser.validateLink = is_safe_link  # type: ignore[method-assign]  # the documented way to restrict links
    return parser


_PARSER = _build_parser()
