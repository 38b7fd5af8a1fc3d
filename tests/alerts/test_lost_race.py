"""Two forms want one name, and the other one is saved between this one's check and its write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError
from django.db.models import QuerySet
from django.test import Client

from alerts.models import AlertRule, NotificationChannel, Route
from tests.alerts.factories import create_channel, create_rule
from tracestore.clickhouse.client import Store
from tracestore.models import ModelPrice, SavedView

pytestmark = [
    pytest.mark.django_db(transaction=True),  # what fails must not take the test's own transaction with it
    pytest.mark.usefixtures("default_project"),
]
Arrange = Callable[[type, Callable[[], Any]], None]
WEBHOOK = {"kind": "webhook", "target": "https://hooks.example.com/secret"}
RULE = {"metric": "failure_rate", "comparison": "above", "threshold": "5", "window_s": "5m", "enabled": "on"}


@pytest.fixture
def save_between(monkeypatch: pytest.MonkeyPatch) -> Arrange:
    """Return what has `save` called when somebody next looks for one of a model and finds none, before that is answered."""
    exists = QuerySet.exists

    def arrange(model: type, save: Callable[[], Any]) -> None:
        waiting = [save]

        def look(self: QuerySet[Any]) -> bool:
            found = exists(self)
            if self.model is model and not found and waiting:
                waiting.pop()()
            return found

        monkeypatch.setattr(QuerySet, "exists", look)

    return arrange


def test_rule_that_loses_the_race_for_a_name_shows_its_form(client: Client, save_between: Arrange) -> None:
    save_between(AlertRule, lambda: create_rule(name="Refunds fail"))

    answer = client.post("/alerts/rules/new", RULE | {"name": "Refunds fail", "q": "tool:refund"})

    assert answer.status_code == 422
    assert "Another rule has this name." in answer.content.decode()
    assert "tool:refund" in answer.content.decode()
    assert AlertRule.objects.count() == 1


def test_renamed_rule_that_loses_the_race_keeps_its_name(client: Client, save_between: Arrange) -> None:
    rule = create_rule(name="Mine")
    save_between(AlertRule, lambda: create_rule(name="Taken"))

    answer = client.post(f"/alerts/rules/{rule.pk}", RULE | {"name": "Taken"})

    assert answer.status_code == 422
    assert "Another rule has this name." in answer.content.decode()
    rule.refresh_from_db()
    assert rule.name == "Mine"


def test_channel_that_loses_the_race_for_a_name_shows_its_form(client: Client, save_between: Arrange) -> None:
    save_between(NotificationChannel, lambda: create_channel(name="On-call"))

    answer = client.post("/alerts/channels/new", WEBHOOK | {"name": "On-call"})

    assert answer.status_code == 422
    assert "Another channel has this name." in answer.content.decode()
    assert NotificationChannel.objects.count() == 1


def test_route_that_loses_the_race_for_a_name_shows_its_form(client: Client, save_between: Arrange) -> None:
    channel = create_channel()
    save_between(Route, lambda: Route.objects.create(project_id=1, name="Critical", position=0))

    answer = client.post("/alerts/routes/new", {"name": "Critical", "channels_0": [channel.pk], "enabled": "on"})

    assert answer.status_code == 422
    assert "Another route has this name." in answer.content.decode()
    assert Route.objects.count() == 1


def test_price_that_loses_the_race_for_a_model_shows_its_form(client: Client, store: Store, save_between: Arrange) -> None:
    save_between(ModelPrice, lambda: ModelPrice.objects.create(project_id=1, model="house", input_usd=1, output_usd=2))

    answer = client.post("/setup/prices", {"model": "house", "input_usd": "3", "output_usd": "4"})

    assert answer.status_code == 422
    assert "This model has a price from that day on" in answer.content.decode()
    assert [price.input_usd for price in ModelPrice.objects.all()] == [1]


def test_view_that_loses_the_race_for_a_name_is_not_renamed(client: Client, save_between: Arrange) -> None:
    view = SavedView.objects.create(project_id=1, name="Mine")
    save_between(SavedView, lambda: SavedView.objects.create(project_id=1, name="Taken"))

    answer = client.post(f"/traces/views/{view.pk}", {"name": "Taken"})

    assert answer.status_code == 422
    assert "There is a view named Taken already." in answer.content.decode()
    assert set(SavedView.objects.values_list("name", flat=True)) == {"Mine", "Taken"}


def test_refusal_that_is_no_race_is_tried_twice_and_not_hidden(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def refuse(rule: AlertRule, **_: Any) -> None:
        tries.append(rule.name)
        raise IntegrityError("NOT NULL constraint failed")

    monkeypatch.setattr(AlertRule, "save", refuse)

    with pytest.raises(IntegrityError):
        client.post("/alerts/rules/new", RULE | {"name": "Refunds fail"})
    assert tries == ["Refunds fail"] * 2
