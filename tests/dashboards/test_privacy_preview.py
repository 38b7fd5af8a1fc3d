"""The tester of privacy rules, for rules that take too long."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from ingest import privacy, privacy_preview

pytestmark = pytest.mark.usefixtures("default_project")
TEXT = "mail jane@example.com"
SPAN = json.dumps({"name": TEXT, "attributes": []})


@pytest.mark.parametrize("text", [TEXT, SPAN])
def test_rules_that_take_too_long_for_a_text_are_said_to_be_so(
    client: Client, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    for module in (privacy, privacy_preview):
        monkeypatch.setattr(module, "MAX_CLEANING_S", -1.0, raising=False)

    answer = client.post("/api/v1/privacy/test", {"text": text, "presets": ["email"]}, content_type="application/json")
    page = client.post("/privacy/test", {"text": text, "presets": ["email"]})

    assert (answer.status_code, answer.json()["error"]["parameter"]) == (400, "text")
    assert "take too long" in answer.json()["error"]["message"]
    assert "take too long" in page.content.decode()
