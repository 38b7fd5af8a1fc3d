"""The data quality page over spans that came through the real tables, and dead letters on it."""

from __future__ import annotations

import itertools
import re
import time
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from dashboards.quality import REASONS, build_log_sources, build_sources
from ingest.dead_letters import DeadLetters
from tests.factories import new_trace_id
from tests.live import ROOT
from tests.logs import build_logs
from tests.queries.test_quality import build_payload
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import QueryTooExpensive, StoreUnavailable
from tracestore.clickhouse.landing import insert_batch, stamp
from tracestore.intake.refusals import Refusals, find_refusals
from tracestore.jobs.summarize import summarize_pending
from tracestore.model import Signal
from tracestore.queries.quality import LogCount, SpanCount
from tracestore.timerange import TimeRange

pytestmark = pytest.mark.usefixtures("default_project")
_batches = itertools.count(1)
NOW = {"HX-Request": "true"}


def insert(store: Store, *spans: dict[str, Any], ingest_key: str = "") -> str:
    """Store spans of one trace that just ended; returns its id."""
    now_ns, trace_id = time.time_ns(), new_trace_id()
    times = {"trace_id": trace_id, "start_ns": now_ns - 2 * 10**9, "end_ns": now_ns - 10**9}
    payload = stamp(build_payload(*[times | span for span in spans]), ingest_key=ingest_key, spans=len(spans))
    insert_batch(store, [(1, now_ns, payload)], writer="quality-page", batch_seq=next(_batches))
    summarize_pending()
    return trace_id


def text_of(client: Client, path: str = "/quality", status: int = 200) -> str:
    """Return what the page says, with the report that it loads."""
    response = client.get(path)
    assert response.status_code == status
    html = response.content.decode()
    if "quality__report" in html:
        html += client.get(path, headers=NOW).content.decode()
    return unescape(html)


@pytest.fixture
def letters(settings: Settings, tmp_path: Path) -> DeadLetters:
    settings.DATA = tmp_path
    return DeadLetters(tmp_path / "dead-letters")


def add_letter(letters: DeadLetters, name: str, *, project_id: int = 1) -> None:
    letters.add(
        name, b"x" * 2048, project_id=project_id, received_at_ns=time.time_ns(), refused_at_ns=time.time_ns(), reason="Code: 27"
    )


def test_senders_are_listed_with_what_is_wrong_with_their_spans(client: Client, store: Store) -> None:
    orphaned = insert(store, {}, {"parent": "f" * 16}, ingest_key="checkout")
    insert(store, {"dropped_attributes": 12, "attributes": {"x": "y" * 99 + "... [truncated]"}}, ingest_key="checkout")

    text = text_of(client)

    assert "checkout" in text
    assert "opentelemetry python 1.45.0" in text
    assert f'href="/traces/{orphaned}"' in text
    assert "12 attributes" in text
    assert "Nothing: every request, span and log record in this range was accepted." in text


def test_refusals_are_listed_with_reason_sample_and_next_step(client: Client, store: Store) -> None:
    refusals = Refusals()
    refusals.note("http_401", project_id=1, ingest_key="unknown, sha256 00c0ffee", sdk="OTel-OTLP-Exporter-Python/1.45.0")
    refusals.note(
        "bad_span_id", project_id=1, ingest_key="checkout", sdk="opentelemetry go 1.38.0", spans=3, sample="<b>chat</b>"
    )
    refusals.flush()

    response = client.get("/quality", headers=NOW)

    text = unescape(response.content.decode())
    assert b"<b>chat</b>" not in response.content
    for expected in ("401: key missing or unknown", "create_key", "sha256 00c0ffee", "3 spans", "<b>chat</b>", "go 1.38.0"):
        assert expected in text


def test_range_is_in_the_address_and_an_empty_one_says_what_to_do(client: Client, store: Store) -> None:
    insert(store, {})

    text = text_of(client, "/quality?start=now-2d&end=now-1d")

    assert "Nothing arrived in this range" in text
    assert "now-2d to now-1d" in text
    assert 'href="/setup"' in text
    assert "Nothing arrived" not in text_of(client, "/quality?start=now-1h")


def test_bad_range_is_a_sentence(client: Client, store: Store) -> None:
    assert "is not a time" in text_of(client, "/quality?start=yesterday", status=422)


@pytest.mark.parametrize("query", ["start=0&end=9223372036854775807", "start=9223372036854775806&end=9223372036854775807"])
def test_longest_and_last_ranges_are_answered(client: Client, store: Store, query: str) -> None:
    insert(store, {}, ingest_key="checkout")

    assert ("checkout" in text_of(client, f"/quality?{query}")) == query.startswith("start=0&")


def test_other_projects_are_not_shown(client: Client, store: Store) -> None:
    payload = stamp(build_payload({}), ingest_key="theirs", spans=1)
    insert_batch(store, [(2, time.time_ns(), payload)], writer="quality-page", batch_seq=next(_batches))

    assert "theirs" not in text_of(client)


def test_store_that_is_away_is_a_sentence(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(Store, "query", fail)

    assert "the store is away" in text_of(client)


def test_range_with_too_many_spans_to_compare_still_shows_the_rest(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(store, {}, ingest_key="checkout")

    def fail(*_: Any, **__: Any) -> Any:
        raise QueryTooExpensive("choose a shorter range")

    monkeypatch.setattr("dashboards.quality.count_stored", fail)
    text = text_of(client)

    assert "Stored and duplicate could not be counted: choose a shorter range" in text
    assert "checkout" in text


def test_range_with_very_many_spans_is_not_compared(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert(store, {}, {}, ingest_key="checkout")
    monkeypatch.setattr("dashboards.quality._MOST_COMPARED", 1)

    text = text_of(client)

    assert "Stored and duplicate are counted up to 1 spans. Choose a shorter range." in text
    assert "checkout" in text


def test_what_was_stored_before_arrivals_were_counted_is_no_duplicate() -> None:
    [source] = build_sources([], [SpanCount("", "", 5, "")], [], [])

    assert (source.received, source.stored, source.duplicates) == (5, 5, 0)


def test_every_reason_of_the_page_is_in_the_manual() -> None:
    manual = (ROOT / "docs" / "data-quality.md").read_text()

    assert [reason for reason in REASONS if f"`{reason}`" not in manual] == []


def test_dead_letters_are_listed(client: Client, letters: DeadLetters) -> None:
    add_letter(letters, "one")
    add_letter(letters, "theirs", project_id=2)

    text = text_of(client, "/quality/dead-letters")

    assert "Code: 27" in text
    assert "2\u00a0KiB" in text
    assert "theirs" not in text


def test_no_dead_letters_is_a_sentence(client: Client, letters: DeadLetters) -> None:
    assert "None: ClickHouse took everything that was acknowledged." in text_of(client, "/quality/dead-letters")


def test_bytes_of_a_damaged_spool_are_listed_with_the_file_that_holds_them(client: Client, letters: DeadLetters) -> None:
    letters.add("torn", b"x", project_id=1, received_at_ns=1, refused_at_ns=1, reason="torn", is_request=False)

    page = client.get("/quality/dead-letters").content.decode()

    assert "Cannot be replayed" in page
    assert "as torn.pb" in page
    assert "Replay all" not in page


def test_one_dead_letter_is_replayed(client: Client, letters: DeadLetters) -> None:
    add_letter(letters, "one")
    add_letter(letters, "two")

    response = client.post("/quality/dead-letters/replay", {"name": "one"}, headers=NOW)

    assert response.status_code == 200
    assert b"Replay under way" in response.content
    assert [letter.name for letter in letters.find_requested()] == ["one"]


def test_all_dead_letters_of_the_project_are_replayed(client: Client, letters: DeadLetters) -> None:
    for name, project_id in (("one", 1), ("two", 1), ("theirs", 2)):
        add_letter(letters, name, project_id=project_id)

    response = client.post("/quality/dead-letters/replay", {"all": "1"})

    assert (response.status_code, response.headers["Location"]) == (302, "/quality")
    assert sorted(letter.name for letter in letters.find_requested()) == ["one", "two"]


@pytest.mark.parametrize("name", ["gone", "../../etc/passwd", "theirs", ""])
def test_dead_letter_that_is_not_there_is_refused(client: Client, letters: DeadLetters, name: str) -> None:
    add_letter(letters, "theirs", project_id=2)

    response = client.post("/quality/dead-letters/replay", {"name": name}, headers=NOW)

    assert response.status_code == 422
    assert b"no such dead letter" in response.content
    assert letters.find_requested() == []


def test_replay_needs_the_csrf_token(letters: DeadLetters) -> None:
    add_letter(letters, "one")

    response = Client(enforce_csrf_checks=True).post("/quality/dead-letters/replay", {"all": "1"})

    assert response.status_code == 403
    assert letters.find_requested() == []


def test_page_needs_the_login_where_one_is_demanded(client: Client, settings: Settings) -> None:
    settings.LOGIN_REQUIRED = True

    for path in ("/quality", "/quality/dead-letters"):
        assert client.get(path).headers["Location"].startswith("/login")


def test_reported_and_computed_costs_stand_side_by_side_by_model(client: Client, store: Store) -> None:
    call = {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.cost": 3.0,
    }  # fmt: skip
    most = insert(store, {"attributes": call | {"gen_ai.usage.cost": 3.5}})
    insert(store, {"attributes": call})
    insert(store, {"attributes": {**call, "gen_ai.request.model": "home-made", "gen_ai.usage.cost": 0.25}})

    page = text_of(client)

    costs = page[page.index('id="costs"') :]
    assert "$6.50" in costs
    assert "$5.00" in costs
    assert "+$1.50 (+30%)" in costs
    assert f"/traces/{most}" in costs
    assert costs.count("data-disagrees") == 1
    assert "unpriced" in costs


def test_costs_are_not_listed_where_nobody_reports_any(client: Client, store: Store) -> None:
    insert(store, {"attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}})

    assert 'id="costs"' not in text_of(client)


def test_rejected_log_records_are_counted_as_such_and_not_as_spans(client: Client, store: Store) -> None:
    insert(store, {}, ingest_key="checkout")
    refusals = Refusals()
    refusals.note("bad_log_record", project_id=1, ingest_key="checkout", sdk="go 1.38.0", spans=2, sample="the text “x”")
    refusals.flush()

    text = text_of(client)

    assert "No log record" in text
    assert "2 log records" in text
    assert "the text “x”" in text
    sources = build_sources([], [], [], find_refusals(project_id=1, time_range=TimeRange(1, 2**62)))
    assert sum(source.rejected for source in sources) == 0


def insert_records(store: Store, *bodies: str, ingest_key: str) -> None:
    now_ns = time.time_ns()
    payload = stamp(build_logs(*({"body": body, "time_ns": 1} for body in bodies)), ingest_key=ingest_key, spans=len(bodies))
    insert_batch(store, [(1, now_ns, payload)], writer="quality-page", batch_seq=next(_batches), signal=Signal.LOGS)


def test_log_records_are_listed_by_key_and_sdk(client: Client, store: Store) -> None:
    insert_records(store, "one", "two", "three", ingest_key="checkout")
    refusals = Refusals()
    refusals.note("bad_log_record", project_id=1, ingest_key="checkout", sdk="", spans=2)
    refusals.flush()

    table = text_of(client).partition('id="log-sources"')[2].partition("</table>")[0]

    for label, value in (("Key", "checkout"), ("Received", "5"), ("Stored", "3"), ("Duplicate", "0")):
        assert re.search(rf'data-label="{label}"[^>]*>{value}<', table), label
    assert re.search('data-label="Rejected"[^>]*><span class="text-warn">2<', table)


def test_table_of_log_records_is_not_there_without_any(client: Client, store: Store) -> None:
    insert(store, {}, ingest_key="checkout")

    assert "log-sources" not in text_of(client)


def test_range_with_very_many_log_records_is_not_compared(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_records(store, "one", "two", ingest_key="checkout")
    monkeypatch.setattr("dashboards.quality._MOST_COMPARED", 1)

    assert "Stored and duplicate log records are counted up to 1 records. Choose a shorter range." in text_of(client)


def test_log_records_of_before_arrivals_were_counted_are_no_duplicates() -> None:
    [source] = build_log_sources([], [LogCount("", "", 5)], [])

    assert (source.received, source.stored, source.duplicates) == (5, 5, 0)
