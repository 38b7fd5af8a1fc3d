from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client

from dashboards.trace.waterfall import build_waterfall
from dashboards.views.peek import build_steps
from tests.factories import insert_traces
from tests.spans import T0, SendSpans
from tracestore.clickhouse.client import Store
from tracestore.queries.traces import get_trace

pytestmark = pytest.mark.usefixtures("default_project")
A = "a" * 32
ROOT, CALL = "1" * 16, "2" * 16
HTMX = {"HX-Request": "true"}


def _send(send_spans: SendSpans, **root: Any) -> None:
    send_spans(
        {"trace_id": A, "span_id": ROOT, "name": "invoke_agent support", "duration_ns": 4 * 10**9, **root},
        {
            "trace_id": A, "span_id": CALL, "parent": ROOT, "name": "execute_tool refund", "start_ns": T0 + 10**9, "error": True,
            "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "Timeout"},
        },
    )  # fmt: skip


def test_preview_says_what_was_asked_answered_done_and_why_it_failed(client: Client, store: Store, send_spans: SendSpans) -> None:
    _send(send_spans, attributes={"input.value": "Where is my money?", "output.value": "It will come."})
    insert_traces(
        store, trace_id=A, start_ns=T0, outcome="error", failing_span_id=bytes.fromhex(CALL), error_message="no answer",
        root_span_id=bytes.fromhex(ROOT), user_id="u/1", cost_usd=0.012, agents=["a<b", "c"],
    )  # fmt: skip

    page = unescape(client.get(f"/traces/{A}/peek", headers=HTMX).content.decode())

    for text in ("a<b, c", "Where is my money?", "It will come.", "no answer", "Timeout", "$0.012", "invoke_agent support"):
        assert text in page
    assert f'href="/traces/{A}?span={CALL}"' in page
    assert 'href="/users/u/1"' in page
    assert "<!doctype" not in page


def test_bars_of_steps_stand_where_the_steps_were(store: Store, send_spans: SendSpans) -> None:
    _send(send_spans)

    root, call = build_steps(build_waterfall(get_trace(store, project_id=1, trace_id=A).spans))

    assert (root.indent, root.x, root.width) == (0, 0, 1000)
    assert (call.indent, call.x, call.width) == (1, 250, 250)


def test_unknown_trace_is_said_to_be_so_in_the_preview(client: Client, store: Store) -> None:
    response = client.get(f"/traces/{A}/peek", headers=HTMX)

    assert response.status_code == 200  # htmx drops the body of a 404
    assert "There is no trace with this id" in response.content.decode()


def test_address_of_a_preview_leads_to_the_list_with_it_open(client: Client, store: Store) -> None:
    insert_traces(store)

    response = client.get(f"/traces/{A}/peek", follow=True, headers={"Accept": "text/html"})
    page = response.content.decode()

    assert response.redirect_chain == [(f"/traces?peek={A}", 302)]
    assert f'hx-get="/traces/{A}/peek"' in page


@pytest.mark.parametrize("peek", ["", "x", "../../login", A + "0", '"><script>'])
def test_preview_of_what_is_no_id_stays_closed(client: Client, store: Store, peek: str) -> None:
    insert_traces(store)

    page = client.get("/traces", {"peek": peek}).content.decode()

    assert "page--peek" not in page
    assert "<script>" not in page
