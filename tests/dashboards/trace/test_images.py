"""Inline images: the bytes tell what they are, and nothing that could run is one."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dashboards.trace.content import find_image, read_content
from dashboards.trace.images import decode_image
from tests.spans import make_span

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
ENCODED = base64.b64encode(PNG).decode()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF89a rest", "image/gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
    ],
)
def test_image_is_known_by_its_first_bytes(data: bytes, kind: str) -> None:
    encoded = base64.b64encode(data).decode()

    assert decode_image(encoded) == (kind, data)
    assert decode_image(f"data:text/html;base64,{encoded}") == (kind, data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "data:image/png;base64,",
        "not base64!",
        base64.b64encode(SVG).decode(),
        "data:image/png;base64," + base64.b64encode(SVG).decode(),
    ],
)
def test_anything_else_is_no_image(text: str) -> None:
    assert decode_image(text) is None


# How each dialect sends one.
PARTS: dict[str, dict[str, Any]] = {
    "OpenTelemetry": {"type": "blob", "mime_type": "image/png", "modality": "image", "content": ENCODED},
    "OpenAI": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{ENCODED}"}},
    "OpenAI Responses": {"type": "input_image", "image_url": f"data:image/png;base64,{ENCODED}"},
    "Anthropic": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ENCODED}},
    "Gemini": {"inline_data": {"mime_type": "image/png", "data": ENCODED}},
    "Vercel AI": {"type": "image", "image": ENCODED, "mediaType": "image/png"},
    "OpenInference": {"type": "image", "image": {"image": {"url": f"data:image/png;base64,{ENCODED}"}}},
}


@pytest.mark.parametrize("dialect", PARTS)
def test_image_of_each_dialect_is_found(dialect: str) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "look"}, PARTS[dialect]]}]

    content = read_content(make_span({"gen_ai.input.messages": messages}, kind="llm"))

    assert decode_image(find_image(content, "input.0.1")) == ("image/png", PNG)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://tracker.example/pixel.png"}},
        {"type": "blob", "mime_type": "image/svg+xml", "content": base64.b64encode(SVG).decode()},
        {"type": "blob", "mime_type": "audio/wav", "content": ENCODED},
        {"type": "file", "file": {"file_id": "file-123"}},
    ],
)
def test_what_is_elsewhere_or_of_another_kind_has_no_image(part: dict[str, Any]) -> None:
    content = read_content(make_span({"gen_ai.input.messages": [{"role": "user", "content": [part]}]}, kind="llm"))

    assert find_image(content, "input.0.0") == ""


@pytest.mark.parametrize("reference", ["", "input", "input.0", "input.9.9", "input.x.0", "output.0.0", "tools.0.0", "input.-1.0"])
def test_reference_to_nothing_is_no_image(reference: str) -> None:
    messages = [{"role": "user", "content": [PARTS["OpenAI"]]}]

    assert find_image(read_content(make_span({"gen_ai.input.messages": messages}, kind="llm")), reference) == ""
