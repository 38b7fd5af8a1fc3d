"""`manage.py revoke_key`: a key that is taken back opens nothing, and without a name all are listed."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tracestore.keys import find_project_id, forget_keys


def run(command: str, *arguments: str) -> str:
    output = StringIO()
    call_command(command, *arguments, stdout=output)
    return output.getvalue().strip()


@pytest.mark.django_db
def test_revoked_key_opens_nothing_and_others_stay() -> None:
    leaked, kept = run("create_key", "ci"), run("create_key", "agents")
    other_project = run("create_key", "ci", "--project", "staging")

    said = run("revoke_key", "ci")
    forget_keys()

    assert said == "1 key revoked."
    assert find_project_id(leaked, "") is None
    assert find_project_id(kept, "") is not None
    assert find_project_id(other_project, "") is not None
    assert [line.split()[:3] for line in run("revoke_key").splitlines()] == [
        ["agents", "project", "default"],
        ["ci", "project", "staging"],
    ]
    assert [line.split()[0] for line in run("revoke_key", "--project", "staging").splitlines()] == ["ci"]


@pytest.mark.django_db
def test_key_that_does_not_exist_is_refused_with_a_next_step() -> None:
    with pytest.raises(CommandError, match="no key 'nobody'; without a name all are listed"):
        run("revoke_key", "nobody")

    assert run("revoke_key") == "There are no keys."
    assert run("revoke_key", "--project", "default") == "The project 'default' has no keys."
