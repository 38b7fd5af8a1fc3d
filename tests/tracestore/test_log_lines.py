"""What the log says while Postgres is away."""

from __future__ import annotations

import logging
import sqlite3

import psycopg
import pytest
from django.db import OperationalError

from tracestore.process.log_lines import WithoutTracebacksOfOutages


def log_line(message: str, cause: Exception) -> str:
    """Return what is logged of a failure that the driver's `cause` led to."""
    try:
        raise OperationalError(*cause.args) from cause
    except OperationalError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("name", logging.ERROR, "file", 1, message, (), info)
    assert WithoutTracebacksOfOutages().filter(record)
    return logging.Formatter("%(message)s").format(record)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Task t[1] raised unexpected: OperationalError('refused')", "Task t[1]: refused Is it running?"),
        ("incident 7 could not be tended", "incident 7 could not be tended: refused Is it running?"),
    ],
)
def test_outage_of_postgres_is_a_line(message: str, said: str) -> None:
    assert log_line(message, psycopg.OperationalError("refused\n\tIs it running?")) == said


def test_what_sqlite_refuses_has_its_traceback() -> None:
    said = log_line("incident 7 could not be tended", sqlite3.OperationalError("no such column: x"))

    assert said.startswith("incident 7 could not be tended\n")
    assert "Traceback" in said
