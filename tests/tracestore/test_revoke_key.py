"""`manage.py revoke_key`: a key that is taken back opens nothing, and without a name all are listed."""

from __future__ import annotations

import asyncio
import time
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tracestore import keys
from tracestore.keys import OpenedKey, find_key, find_key_async
from tracestore.models import IngestKey


def run(command: str, *arguments: str) -> str:
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue().strip()


@pytest.mark.django_db
def test_revoked_key_opens_nothing_and_others_stay() -> None:
    leaked, kept = run("create_key", "ci"), run("create_key", "agents")
    other_project = run("create_key", "ci", "--project", "staging")

    said = run("revoke_key", "ci")

    assert said == "1 key revoked."
    assert find_key(leaked, "") is None
    assert find_key(kept, "") is not None
    assert find_key(other_project, "") is not None
    assert [line.split()[:3] for line in run("revoke_key").splitlines()] == [
        ["agents", "project", "default"],
        ["ci", "project", "staging"],
    ]
    assert [line.split()[0] for line in run("revoke_key", "--project", "staging").splitlines()] == ["ci"]


@pytest.mark.django_db(transaction=True)
def test_key_that_another_process_takes_back_is_refused_within_a_second() -> None:
    leaked, kept = run("create_key", "ci"), run("create_key", "agents")
    assert find_key(leaked, "") is not None
    assert find_key(kept, "") is not None

    IngestKey.objects.filter(name="ci").delete()
    until = time.monotonic() + 15  # a second, and the machine's pauses; without looks it would be thirty
    while find_key(leaked, "") is not None:
        assert time.monotonic() < until
        time.sleep(0.02)

    opened = asyncio.run(find_key_async(kept, ""))
    assert opened is not None
    assert (opened.project_slug, opened.name) == ("default", "agents")


@pytest.mark.django_db(transaction=True)
def test_key_that_was_looked_up_holds_while_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = run("create_key", "ci")
    assert find_key(key, "") is not None

    monkeypatch.setattr(keys._looking, "next_s", 0.0)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tracestore_ingestkey RENAME TO away")
    opened = find_key(key, "")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE away RENAME TO tracestore_ingestkey")

    assert opened is not None
    assert "the database is away, what is remembered holds for 30 s at most" in caplog.text


@pytest.mark.django_db
def test_what_is_looked_up_while_a_key_is_revoked_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    key = run("create_key", "ci")

    def open_late(*found: Any) -> OpenedKey:
        run("revoke_key", "ci")
        return OpenedKey(*found)

    monkeypatch.setattr(keys, "OpenedKey", open_late)

    assert find_key(key, "") is not None  # it was there when the database was asked
    assert find_key(key, "") is None


@pytest.mark.django_db
def test_key_that_does_not_exist_is_refused_with_a_next_step() -> None:
    with pytest.raises(CommandError, match="no key 'nobody'; without a name all are listed"):
        run("revoke_key", "nobody")

    assert run("revoke_key") == "There are no keys."
    assert run("revoke_key", "--project", "default") == "The project 'default' has no keys."
