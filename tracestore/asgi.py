"""The ASGI application of every web process: OTLP goes to ingest's receiver, all else to Django.

OTLP bypasses Django's request handling, which reads a whole body before a view can refuse it, spools it to a temporary file,
and answers errors as HTML (OTLP demands google.rpc.Status in the request's encoding). What goes to Django is cut off here where
Django would refuse it: it looks at the length that is declared, and only after it has read everything, however long that takes.
"""

from __future__ import annotations

import asyncio
import json
import os
from importlib import import_module
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracestore.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application  # the settings module must be named first

_django = get_asgi_application()
_receiver = import_module("ingest.receivers.otlp_http")
_find_root = import_module("tracestore.projects").find_root
_TOO_LARGE = "The body of this request is too large."
_TOO_SLOW = "The body of this request did not arrive in time."
# For the whole of what Django takes, 2.5 MB: people who are not logged in can send it, too.
_BODY_S = 60.0


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    root = _find_root(scope["path"])
    if _receiver.handles(scope["path"].removeprefix(root), scope["method"]):
        await _receiver.application(scope, receive, send)
    else:
        await _ask_django(scope | {"root_path": root}, receive, send)


async def _ask_django(scope: dict[str, Any], receive: Any, send: Any) -> None:
    left = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    until_s = asyncio.get_running_loop().time() + _BODY_S
    refusal: tuple[int, str] | None = None
    is_read = False

    async def receive_within() -> Any:
        nonlocal left, refusal, is_read
        try:
            async with asyncio.timeout_at(None if is_read else until_s):
                message = await receive()
        except TimeoutError:
            refusal = 408, _TOO_SLOW
        else:
            left -= len(message.get("body", b""))
            is_read = not message.get("more_body", False)
            if left >= 0:
                return message
            refusal = 413, _TOO_LARGE
        return {"type": "http.disconnect"}  # Django then ends without an answer

    await _django(scope, receive_within, send)
    if refusal:
        status, said = refusal
        is_api = scope["path"].removeprefix(scope["root_path"]).startswith("/api/")
        error = {"error": {"parameter": None, "message": said, "suggestion": None}}
        content_type = b"application/json" if is_api else b"text/plain; charset=utf-8"
        # Of such a request there may be more to come, for ever.
        headers = [(b"content-type", content_type), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": (json.dumps(error) if is_api else said).encode()})
