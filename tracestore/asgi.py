"""The ASGI application of every web process: OTLP goes to ingest's receiver, all else to Django.

OTLP bypasses Django's request handling, which reads a whole body before a view can refuse it, spools it to a temporary file,
and answers errors as HTML (OTLP demands google.rpc.Status in the request's encoding).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tracestore.settings")

from django.core.asgi import get_asgi_application  # the settings module must be named first

_django = get_asgi_application()
_receiver = import_module("ingest.receiver")


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "http" and _receiver.handles(scope["path"], scope["method"]):
        await _receiver.application(scope, receive, send)
    elif scope["type"] == "http":
        await _django(scope, receive, send)
