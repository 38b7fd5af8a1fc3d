"""The errors page, the page of one error, its buttons, and the same rows in the API."""

from __future__ import annotations

import itertools
import time
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.factories import insert_traces, new_trace_id
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.models import ErrorState
from tracestore.timerange import NS_PER_S

pytestmark = pytest.mark.usefixtures("default_project")
TIMEOUT, LIMIT = "a" * 12, "b" * 12
HOSTILE = "<script>alert(1)</script>\u202e"
_batches = itertools.count(1)


def _text(response: Any) -> str:
    return unescape(response.content.decode())


def _failed(fingerprint: str, age_s: int = 600, **values: Any) -> dict[str, Any]:
    return {
        "outcome": "error", "error_fingerprint": fingerprint, "error_types": ["Timeout"], "error_message": "no answer",
        "failing_span_id": b"\x02" * 8, "start_ns": time.time_ns() - age_s * NS_PER_S,
    } | values  # fmt: skip


def _store_failing_trace(store: Store, message: str) -> str:
    """Store a run that fails in its tool, as it would arrive; returns the trace id."""
    trace_id, now_ns = new_trace_id(), time.time_ns()
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "GatewayTimeout"}
    exception = {"exception.type": "GatewayTimeout", "exception.stacktrace": 'File "/app/pay.py", line 7, in refund'}
    start_ns = now_ns - 60 * NS_PER_S
    request = build_request(
        {"trace_id": trace_id, "span_id": "1" * 16, "start_ns": start_ns, "name": "run", "error": "failed"},
        {
            "trace_id": trace_id, "span_id": "2" * 16, "parent": "1" * 16, "start_ns": start_ns, "error": message,
            "attributes": tool, "events": [("exception", exception)],
        },
        resource={"service.version": "v3"},
    )  # fmt: skip
    insert_batch(store, [(1, now_ns, request)], writer="errors-page", batch_seq=next(_batches))
    summarize_pending()
    return trace_id


def test_failures_are_listed_by_their_error(client: Client, store: Store) -> None:
    insert_traces(
        store,
        _failed(TIMEOUT, user_id="u-1", versions=["v2"], tools=[("refund", 1, 1)]),
        _failed(TIMEOUT, age_s=60, user_id="u-2", versions=["v3"], error_message="no answer at all"),
        _failed(LIMIT, error_types=["RateLimit"]),
        {"versions": ["v3"]},
    )

    response = client.get("/errors")

    page = _text(response)
    assert response.status_code == 200
    assert page.count("data-row=") == 2
    assert page.index(f'href="/errors/{TIMEOUT}?') < page.index(f'href="/errors/{LIMIT}?')
    for text in ("Timeout", "no answer at all", "RateLimit", "v2", "v3", "refund", "New", "1\u00a0m ago"):
        assert text in page


def test_query_state_and_order_of_the_address_are_kept_by_links(client: Client, store: Store) -> None:
    insert_traces(store, _failed(TIMEOUT, versions=["v3"]), _failed(LIMIT, versions=["v2"]))

    page = _text(client.get("/errors", {"q": "version:v3", "show": "all", "sort": "last", "start": "now-7d"}))

    assert page.count("data-row=") == 1
    assert 'href="?q=version%3Av3&start=now-7d&show=all&sort=users"' in page
    assert 'name="show" value="all"' in page


@pytest.mark.parametrize("query", ["verson:v3", "status:(", ""])
def test_bad_query_and_range_are_answered_422(client: Client, store: Store, query: str) -> None:
    for path in ("/errors", f"/errors/{TIMEOUT}"):
        response = client.get(path, {"q": query, "start": "" if query else "yesterday"})

        assert response.status_code == 422
        assert "callout--error" in _text(response)


def test_states_divide_the_list(client: Client, store: Store) -> None:
    insert_traces(store, _failed(TIMEOUT, versions=["v2"]), _failed(LIMIT))

    assert client.post(f"/errors/{TIMEOUT}/state", {"status": "resolved", "version": "v3"}).status_code == 302
    shown = {name: _text(client.get("/errors", {"show": name})) for name in ("open", "resolved", "ignored", "regressed", "all")}

    assert [name for name, page in shown.items() if f'data-row="{TIMEOUT}"' in page] == ["resolved", "all"]
    assert "Resolved in v3" in shown["resolved"]
    insert_traces(store, _failed(TIMEOUT, age_s=-60, versions=["v3"]))
    end = str(time.time_ns() + 120 * NS_PER_S)
    assert "Regressed" in _text(client.get("/errors", {"show": "regressed", "end": end, "start": "now-1h"}))
    assert "Seen again" in _text(client.get(f"/errors/{TIMEOUT}", {"end": end, "start": "now-1h"}))


def test_long_list_goes_on_where_it_ends(client: Client, store: Store) -> None:
    insert_traces(store, *(_failed(f"{number:012x}", age_s=number + 1) for number in range(60)))

    first = _text(client.get("/errors"))
    rest = _text(client.get("/errors", {"offset": "50"}, headers={"HX-Request": "true"}))

    assert first.count("data-row=") == 50
    assert "offset=50" in first
    assert rest.count("data-row=") == 10
    assert "<html" not in rest
    assert client.get("/errors", {"offset": "-1"}).status_code == 200


def test_empty_pages_say_what_to_do(client: Client, store: Store) -> None:
    assert "Connect an agent" in _text(client.get("/errors"))

    insert_traces(store)
    assert "No open error" in _text(client.get("/errors"))

    insert_traces(store, _failed(TIMEOUT, age_s=3 * 86_400))
    page = _text(client.get("/errors"))
    assert "3\u00a0d ago" in page
    assert 'href="?start=now-7d"' in page
    assert "Show it" in _text(client.get(f"/errors/{TIMEOUT}"))


def test_detail_shows_message_stack_shares_and_samples_at_the_failing_step(client: Client, store: Store) -> None:
    trace_id = _store_failing_trace(store, "no answer for A-1")
    _store_failing_trace(store, "no answer for A-2")
    [row] = client.get("/api/v1/errors").json()["results"]

    page = _text(client.get(f"/errors/{row['fingerprint']}"))

    assert row["traces"] == 2
    for text in ("GatewayTimeout", "no answer for A-", "/app/pay.py", "New"):
        assert text in page
    assert f'href="/traces/{trace_id}?span={"2" * 16}"' in page
    assert f'href="/traces?q=fingerprint%3A{row["fingerprint"]}"' in page
    assert f'href="/why?q=fingerprint%3A{row["fingerprint"]}"' in page
    assert f"fingerprint%3A{row['fingerprint']}+version%3Av3" in page
    assert client.get("/traces", {"q": f"fingerprint:{row['fingerprint']}"}).content.count(b'class="trace-row"') == 2


def test_samples_begin_with_what_was_asked(client: Client, store: Store) -> None:
    insert_traces(store, _failed(TIMEOUT, preview=("Where is <my> order?", "")), _failed(TIMEOUT, name="quiet run"))

    page = _text(client.get(f"/errors/{TIMEOUT}"))

    samples = page.partition('id="samples"')[2]
    assert "<bdi>Where is <my> order?</bdi>" in samples
    assert "<bdi>quiet run</bdi>" in samples


def test_query_of_the_detail_narrows_it_and_its_links(client: Client, store: Store) -> None:
    insert_traces(store, _failed(TIMEOUT, versions=["v3"]), _failed(TIMEOUT, versions=["v2"]))

    page = _text(client.get(f"/errors/{TIMEOUT}", {"q": "version:v3 OR version:v4"}))

    assert "1 trace<" in page
    narrowed = f"?q=%28version%3Av3+OR+version%3Av4%29+fingerprint%3A{TIMEOUT}"
    assert f'href="/traces{narrowed}" id="error-traces"' in page
    assert f'href="/why{narrowed}" id="error-why"' in page


@pytest.mark.parametrize("name", ["f" * 12, "nonsense", "A" * 12, "..", HOSTILE])
def test_unknown_error_is_answered_404(client: Client, store: Store, name: str) -> None:
    response = client.get(f"/errors/{name.replace('/', '')}")

    assert response.status_code == 404
    assert "<script>alert" not in response.content.decode()


def test_texts_of_strangers_are_shown_and_not_executed(client: Client, store: Store) -> None:
    insert_traces(
        store,
        _failed(
            TIMEOUT, error_types=[HOSTILE], error_message=HOSTILE, versions=[HOSTILE], tools=[(HOSTILE, 1, 1)], user_id=HOSTILE
        ),
    )

    for path in ("/errors", f"/errors/{TIMEOUT}"):
        page = client.get(path).content.decode()
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_state_is_changed_by_post_with_who_and_when_and_back_to_the_page(
    client: Client, store: Store, settings: Settings
) -> None:
    insert_traces(store, _failed(TIMEOUT))
    client.force_login(User.objects.create_user("ada"))

    answer = client.post(f"/errors/{TIMEOUT}/state", {"status": "ignored", "version": "v9", "q": "a b", "start": "now-7d"})

    assert answer["Location"] == f"/errors/{TIMEOUT}?q=a+b&start=now-7d"
    state = ErrorState.objects.get()
    assert (state.status, state.resolved_version, state.changed_by) == ("ignored", "", "ada")
    assert "by ada" in _text(client.get(f"/errors/{TIMEOUT}"))
    client.post(f"/errors/{TIMEOUT}/state", {"status": "open"})
    assert ErrorState.objects.get().status == "open"


def test_state_is_not_changed_by_get_or_nonsense(client: Client, store: Store) -> None:
    insert_traces(store, _failed(TIMEOUT))

    assert client.get(f"/errors/{TIMEOUT}/state").status_code == 405
    assert client.post(f"/errors/{TIMEOUT}/state", {"status": "gone"}).status_code == 400
    assert client.post("/errors/nonsense/state", {"status": "ignored"}).status_code == 400
    assert client.post(f"/errors/{LIMIT}/state", {"status": "ignored"}).status_code == 404
    assert Client(enforce_csrf_checks=True).post(f"/errors/{TIMEOUT}/state", {"status": "ignored"}).status_code == 403
    assert not ErrorState.objects.exists()


def test_store_that_is_away_is_answered_503(client: Client, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("ClickHouse is away.")

    monkeypatch.setattr(Store, "query", refuse)

    for path in ("/errors", f"/errors/{TIMEOUT}"):
        response = client.get(path)
        assert response.status_code == 503
        assert "ClickHouse is away." in _text(response)


def test_api_gives_the_same_rows(client: Client, store: Store) -> None:
    [trace_id] = insert_traces(store, _failed(TIMEOUT, versions=["v3"], user_id="u-1"))
    insert_traces(store, _failed(LIMIT, age_s=120))
    client.post(f"/errors/{LIMIT}/state", {"status": "ignored"})

    answer = client.get("/api/v1/errors", {"state": "open"}).json()

    [row] = answer["results"]
    assert answer["next"] is None
    assert (row["fingerprint"], row["title"], row["message"], row["state"]) == (TIMEOUT, "Timeout", "no answer", "open")
    assert (row["traces"], row["users"], row["versions"], row["is_new"]) == (1, 1, ["v3"], True)
    assert (row["trace_id"], row["failing_span_id"]) == (trace_id, "02" * 8)
    assert [bar["count"] for bar in row["trend"]] == [1]
    assert len(client.get("/api/v1/errors", {"sort": "last", "limit": "1"}).json()["results"]) == 1
    assert client.get("/api/v1/errors", {"state": "gone"}).status_code == 400
    assert client.get("/api/v1/errors", {"sort": "gone"}).status_code == 400


def test_trace_tells_its_fingerprint(client: Client, store: Store) -> None:
    insert_traces(store, _failed(TIMEOUT))

    assert client.get("/api/v1/traces").json()["results"][0]["error_fingerprint"] == TIMEOUT
