"""What the log leaves out."""

from __future__ import annotations

import logging


class WithoutTracebacksOfClients(logging.Filter):
    """Django logs a request that it refuses (a wrong Host, a thousand fields) with a traceback, which anybody can make it do."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.exc_info = record.exc_text = None
        return True
