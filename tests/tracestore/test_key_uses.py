"""When a key was used last."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tracestore import keys
from tracestore.intake.key_uses import KeyUses
from tracestore.keys import find_key, forget_keys
from tracestore.models import IngestKey, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def key() -> IngestKey:
    project = Project.objects.create(slug="shop", name="Shop")
    return IngestKey.objects.create(project=project, name="ci", sha256=hashlib.sha256(b"the-key").hexdigest())


def _read(key: IngestKey) -> datetime:
    key.refresh_from_db()
    assert key.last_used_at is not None
    return key.last_used_at


def test_use_is_written_and_again_after_a_minute(key: IngestKey) -> None:
    uses, before = KeyUses(), timezone.now()

    uses.note(key.pk)
    uses.flush()
    first = _read(key)
    uses.note(key.pk)
    uses.flush()
    within_the_minute = _read(key)
    uses._next_s.clear()
    uses.flush()

    assert before <= first <= timezone.now()
    assert within_the_minute == first
    assert _read(key) > first


def test_later_use_that_another_process_wrote_stays(key: IngestKey) -> None:
    later = timezone.now() + timedelta(minutes=5)
    IngestKey.objects.update(last_used_at=later)
    uses = KeyUses()

    uses.note(key.pk)
    uses.flush()

    assert _read(key) == later


def test_use_is_kept_while_the_database_is_away(key: IngestKey, caplog: pytest.LogCaptureFixture) -> None:
    uses = KeyUses()
    uses.note(key.pk)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE tracestore_ingestkey RENAME TO away")
        uses.flush()
        cursor.execute("ALTER TABLE away RENAME TO tracestore_ingestkey")

    uses.flush()

    assert _read(key) <= timezone.now()
    assert "written later" in caplog.text


def test_key_that_opens_is_used_and_one_that_does_not_is_not(key: IngestKey, monkeypatch: pytest.MonkeyPatch) -> None:
    uses = KeyUses()
    monkeypatch.setattr(keys, "key_uses", uses)
    forget_keys()
    find_key("the-key", "")
    find_key("another", "")

    assert list(uses._used_ns) == [key.pk]
