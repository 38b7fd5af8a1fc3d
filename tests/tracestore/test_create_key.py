"""`manage.py create_key`: the printed key opens its project, and only its hash is kept."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tracestore.keys import find_project_id
from tracestore.models import IngestKey, Project


@pytest.mark.django_db
def test_printed_key_opens_the_named_project() -> None:
    output = StringIO()

    call_command("create_key", "ci", "--project", "staging", stdout=output)

    key = output.getvalue().strip()
    assert find_project_id(key, "") == Project.objects.get(slug="staging").id
    assert find_project_id(key + "x", "") is None
    assert key not in IngestKey.objects.values_list("sha256", flat=True)


@pytest.mark.django_db
@pytest.mark.parametrize(("arguments", "named"), [(["x" * 129], "name"), ([""], "name"), (["ci", "--project", "a b"], "slug")])
def test_name_that_cannot_be_stored_makes_nothing(arguments: list[str], named: str) -> None:
    before = Project.objects.count()

    with pytest.raises(CommandError, match=f"{named}: .+"):
        call_command("create_key", *arguments)

    assert (Project.objects.count(), IngestKey.objects.count()) == (before, 0)
