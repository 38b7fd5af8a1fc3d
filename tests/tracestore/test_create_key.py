"""`manage.py create_key`: the printed key opens its project, and only its hash is kept."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

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
