"""What pages answer, as text."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

from django.test import Client


def text_of(client: Client, path: str, status: int = 200) -> str:
    """Return the HTML of a page, with its entities as the characters that they stand for."""
    return unescape(_html_of(client, path, status))


def words_of(client: Client, path: str, status: int = 200) -> str:
    """Return the text between tags on one line, a blank in the place of each tag."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", _html_of(client, path, status))))


def _html_of(client: Client, path: str, status: int) -> str:
    response = client.get(path)
    assert response.status_code == status, response.content
    return response.content.decode()


def body_of(response: Any) -> str:
    """Return a download that is sent in pieces."""

    async def gather() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    return asyncio.run(gather()).decode()
