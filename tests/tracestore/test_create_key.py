"""`manage.py create_key`: the printed key opens its project, and only its hash is kept."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tracestore.keys import OpenedKey, find_key
from tracestore.models import IngestKey, Project


@pytest.mark.django_db
def test_printed_key_opens_the_named_project() -> None:
    output = StringIO()

    call_command("create_key", "ci", "--project", "staging", stdout=output)

    key = output.getvalue().strip()
    assert find_key(key, "") == OpenedKey(Project.objects.get().pk, "staging", "ci", IngestKey.objects.get().pk)
    assert find_key(key + "x", "") is None
    assert key not in IngestKey.objects.values_list("sha256", flat=True)
    assert [(row.prefix, row.created_by) for row in IngestKey.objects.all()] == [(key[:8], "manage.py create_key")]


@pytest.mark.django_db
def test_log_tells_who_made_and_revoked_a_key_and_not_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    output = StringIO()

    call_command("create_key", "ci\nforged", stdout=output)
    call_command("revoke_key", "ci\nforged", stdout=StringIO())

    key = output.getvalue().strip()
    assert caplog.messages == [
        "projects: 'manage.py create_key' made the project default ('Default')",
        f"keys: 'manage.py create_key' made the key 'ci\\nforged' ({key[:8]}...) of the project default",
        f"keys: 'manage.py revoke_key' revoked the key 'ci\\nforged' ({key[:8]}...) of the project default",
    ]


@pytest.mark.django_db
def test_name_that_a_key_of_the_project_has_is_refused() -> None:
    call_command("create_key", "ci", stdout=StringIO())
    call_command("create_key", "ci", "--project", "staging", stdout=StringIO())

    with pytest.raises(CommandError, match="A key of this project has that name"):
        call_command("create_key", "ci")

    assert IngestKey.objects.count() == 2


@pytest.mark.django_db
def test_slug_that_differs_in_capitals_is_no_new_project() -> None:
    call_command("create_key", "ci", "--project", "shop", stdout=StringIO())

    with pytest.raises(CommandError, match="The project 'Shop' is at /p/shop/ already"):
        call_command("create_key", "ci", "--project", "Shop")


@pytest.mark.django_db
@pytest.mark.parametrize(("arguments", "named"), [(["x" * 129], "name"), ([""], "name"), (["ci", "--project", "a b"], "slug")])
def test_name_that_cannot_be_stored_makes_nothing(arguments: list[str], named: str) -> None:
    before = Project.objects.count()

    with pytest.raises(CommandError, match=f"{named}: .+"):
        call_command("create_key", *arguments)

    assert (Project.objects.count(), IngestKey.objects.count()) == (before, 0)
