"""What the log leaves out."""

from __future__ import annotations

import logging

from django.db import InterfaceError, OperationalError


class WithoutTracebacksOfClients(logging.Filter):
    """Django logs a request that it refuses (a wrong Host, a thousand fields) with a traceback, which anybody can make it do."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.exc_info = record.exc_text = None
        return True


class WithoutTracebacksOfOutages(logging.Filter):
    """While Postgres is away each job and page that wants it fails, some each second: where in the code says nothing then.

    SQLite is never away: there the same exceptions are of interest.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OperationalError | InterfaceError) and type(error.__cause__).__module__.startswith("psycopg"):
            reason = " ".join(str(error).split())
            record.msg, record.args = f"{record.getMessage().partition(' raised unexpected: ')[0]}: {reason}", ()
            record.exc_info = record.exc_text = None
        return True
