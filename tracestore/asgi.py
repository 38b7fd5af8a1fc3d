"""The ASGI application of every web process: OTLP goes to ingest's receiver, all else to Django.

OTLP bypasses Django's request handling, which reads a whole body before a view can refuse it, spools it to a temporary file,
and answers errors as HTML (OTLP demands google.rpc.Status in the request's encoding). What goes to Django is cut off here where
Django would refuse it: it looks at the length that is declared, and only after it has read everything.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracestore.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application  # the settings module must be named first

_django = get_asgi_application()
_receiver = import_module("ingest.receiver")
_TOO_LARGE = "The body of this request is too large."


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and _receiver.handles(scope["path"], scope["method"]):
        await _receiver.application(scope, receive, send)
    elif scope["type"] == "http":
        await _ask_django(scope, receive, send)


async def _ask_django(scope: dict[str, Any], receive: Any, send: Any) -> None:
    left = settings.DATA_UPLOAD_MAX_MEMORY_SIZE

    async def receive_within() -> Any:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        return message if left >= 0 else {"type": "http.disconnect"}  # Django then ends without an answer

    await _django(scope, receive_within, send)
    if left < 0:
        is_api = scope["path"].startswith("/api/")
        error = {"error": {"parameter": None, "message": _TOO_LARGE, "suggestion": None}}
        content_type = b"application/json" if is_api else b"text/plain; charset=utf-8"
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-type", content_type)]})
        await send({"type": "http.response.body", "body": (json.dumps(error) if is_api else _TOO_LARGE).encode()})
