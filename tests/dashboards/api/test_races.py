"""Requests that save the same at one moment: each view looks first, and one of them is quicker to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import models
from django.db.models.signals import pre_save
from django.test import Client

from alerts.models import AlertRule, NotificationChannel, Route
from tests.alerts.factories import create_channel
from tracestore.models import Dashboard, ModelPrice

RULE = {"name": "Failures", "metric": "failure_rate", "threshold": 0.1, "window_s": 300}
CHANNEL = {"name": "Chat", "kind": "webhook", "target": "http://127.0.0.1:9/hook"}
PRICE = {"model": "house-7b", "input_usd": "0.2", "output_usd": "0.8"}
DASHBOARD = {"name": "Mine", "slug": "mine", "panels": [{"metrics": ["requests"]}]}


Overtake = Callable[[type[models.Model]], None]


@pytest.fixture
def overtake(db: None) -> Iterator[Overtake]:
    """Have another request save the same between a view's look and its write, once."""
    connected: list[tuple[type[models.Model], Callable[..., Any]]] = []

    def arrange(model: type[models.Model]) -> None:
        def save_first(instance: models.Model, **_: Any) -> None:
            pre_save.disconnect(save_first, sender=model)
            values = {field.attname: getattr(instance, field.attname) for field in model._meta.concrete_fields}
            model._default_manager.bulk_create([model(**values | {"id": None})])

        pre_save.connect(save_first, sender=model, weak=False)
        connected.append((model, save_first))

    yield arrange
    for model, receiver in connected:
        pre_save.disconnect(receiver, sender=model)


@pytest.mark.parametrize(
    ("path", "model", "body"),
    [
        ("alert-rules", AlertRule, RULE),
        ("channels", NotificationChannel, CHANNEL),
        ("alert-routes", Route, {"name": "Night", "steps": [{"channels": ["On-call"]}]}),
        ("prices", ModelPrice, PRICE),
        ("dashboards", Dashboard, DASHBOARD),
    ],
)
def test_who_comes_second_is_told_so(
    client: Client, overtake: Overtake, path: str, model: type[models.Model], body: dict[str, Any]
) -> None:
    create_channel(name="On-call")
    overtake(model)

    answer = client.post(f"/api/v1/{path}", body, content_type="application/json")

    error = answer.json()["error"]
    if model is Dashboard:  # knows what was taken
        assert (answer.status_code, error["parameter"]) == (400, "slug")
    else:
        assert answer.status_code == 409, answer.content
        assert error["message"].startswith("Another request saved the same at this moment.")
