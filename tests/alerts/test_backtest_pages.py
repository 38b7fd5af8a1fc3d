"""The page of a backtest, for rules and drafts, and marks of incidents."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from alerts.models import IncidentMark
from tests.alerts.factories import create_rule, insert_traffic
from tracestore.clickhouse.client import Store
from tracestore.models import Project
from tracestore.queries.rollups import recompute_rollups

pytestmark = pytest.mark.usefixtures("default_project")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def breach(store: Store) -> datetime:
    """Half of the traces failed three hours ago; all went well before and since."""
    now = timezone.now().replace(microsecond=0)
    for hours in (1, 2, 3, 4, 5):
        insert_traffic(store, now - timedelta(hours=hours), failed=5 if hours == 3 else 0, ok=5)
    last_s = int(now.timestamp())
    recompute_rollups(store, project_id=1, bucket_starts_s=range(last_s - 6 * 3600, last_s, 60))
    return now - timedelta(hours=3)


def words(html: bytes) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html.decode())))


def filled_in(**overrides: str) -> dict[str, str]:
    values = {"name": "", "metric": "failure_rate", "q": "", "comparison": "above", "threshold": "10", "window_s": "5m"}
    return values | {"hold_s": "0", "severity": "warning"} | overrides


def test_page_comes_first_and_the_replay_follows(client: Client, store: Store, breach: datetime) -> None:
    rule = create_rule()
    address = f"/alerts/rules/{rule.pk}/backtest?start=now-24h"

    page = client.get(address)
    answer = client.get(address, headers=HTMX)

    assert page.status_code == 200
    assert f'hx-get="{address}"' in page.content.decode()
    said = words(answer.content)
    assert "Pages 1 " in said
    assert "Flaps 0" in said
    assert "no incident is marked" in said
    assert "Failure rate above 0% is the most sensitive threshold" not in said
    assert '"queries": ["status:error"]' in answer.content.decode()


def test_mark_tells_how_soon_the_rule_would_have_told(client: Client, store: Store, breach: datetime) -> None:
    rule = create_rule()
    here = f"/alerts/rules/{rule.pk}/backtest?start=now-24h"
    mark = {"name": "Refunds <down>", "start": f"{breach - timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}", "next": here}

    added = client.post("/alerts/marks", mark | {"end": f"{breach + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"})

    assert (added.status_code, added.headers["Location"]) == (302, here)
    answer = client.get(here, headers=HTMX)
    assert "Detected 1 of 1" in words(answer.content)
    assert re.search(r"Refunds <down>.* after [45] m", words(answer.content))
    assert b"<down>" not in answer.content
    client.post(f"/alerts/marks/{IncidentMark.objects.get().pk}/delete", {"next": "//evil.example.com/"})
    assert not IncidentMark.objects.exists()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"start": "yesterday", "end": "now"}, "is not a time"),
        ({"start": "now", "end": "now-1h"}, "must lie before its end"),
    ],
)
def test_wrong_mark_is_refused_with_a_way_back(client: Client, values: dict[str, str], said: str) -> None:
    answer = client.post("/alerts/marks", values | {"next": "https://evil.example.com/"})

    assert answer.status_code == 422
    assert said in words(answer.content)
    assert b"evil" not in answer.content
    assert not IncidentMark.objects.exists()


def test_draft_is_replayed_and_keeps_its_fields(client: Client, store: Store, breach: datetime) -> None:
    page = client.post("/alerts/rules/backtest", filled_in(preset="now-24h"))

    assert page.status_code == 200
    assert '<input type="hidden" name="threshold" value="10">' in page.content.decode()
    assert "Failure rate above 10% over 5 m" in words(page.content)
    answer = client.post("/alerts/rules/backtest", filled_in(start="now-24h"), headers=HTMX)
    assert "Pages 1 " in words(answer.content)


def test_wrong_draft_and_wrong_range_say_what_is_wrong(client: Client, store: Store) -> None:
    rule = create_rule()

    draft = client.post("/alerts/rules/backtest", filled_in(threshold="much", q="verison:v3"))
    page = client.get(f"/alerts/rules/{rule.pk}/backtest?start=yesterday")
    pages = client.get(f"/alerts/rules/{rule.pk}/backtest?pages=-1")

    assert (draft.status_code, page.status_code, pages.status_code) == (422, 422, 422)
    assert "There is no field “verison”" in words(draft.content)
    assert "is not a number" in words(draft.content)
    assert "'yesterday' is not a time" in words(page.content)
    assert "Pages a week are a number from 0 to 1000" in words(pages.content)


def test_rule_without_traces_says_so(client: Client, store: Store) -> None:
    rule = create_rule(query="version:v9")

    assert "No trace of this range matches" in words(client.get(f"/alerts/rules/{rule.pk}/backtest", headers=HTMX).content)


def test_rules_and_marks_of_another_project_do_not_exist(client: Client, store: Store) -> None:
    other = Project.objects.create(slug="other", name="Other")
    rule = create_rule()
    rule.project = other
    rule.save()
    values: dict[str, Any] = {"started_at": timezone.now() - timedelta(hours=1), "ended_at": timezone.now()}
    mark = IncidentMark.objects.create(project=other, name="Theirs", **values)

    assert client.get(f"/alerts/rules/{rule.pk}/backtest").status_code == 404
    assert client.post(f"/alerts/marks/{mark.pk}/delete").status_code == 404
