"""Inline images of messages: bytes that are what they say, of the kinds that browsers show without running anything. Pure."""

from __future__ import annotations

import base64
import re

# Kind -> how such a file begins. No SVG: it is a document with scripts.
_SIGNATURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
_SPACE = re.compile(r"\s+")


def decode_image(text: str) -> tuple[str, bytes] | None:
    """Return media type and bytes of a data URI or of base64 alone; None when that is no image of a known kind.

    The type is told by the bytes, never by the sender.
    """
    body = text.partition(",")[2] if text[:5].lower() == "data:" else text
    body = _SPACE.sub("", body).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except ValueError:
        return None
    return next(((kind, data) for kind, signature in _SIGNATURES.items() if signature.match(data)), None)
