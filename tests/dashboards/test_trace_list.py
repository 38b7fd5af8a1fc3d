from __future__ import annotations

import gzip
import re
import time
from html import unescape
from typing import Any

import pytest
from django.test import Client

from tests.factories import insert_traces
from tests.logs import insert_logs
from tracestore.clickhouse.client import Store
from tracestore.timerange import NS_PER_S

pytestmark = pytest.mark.usefixtures("default_project")
HTMX = {"HX-Request": "true"}


def _text(response: Any) -> str:
    return unescape(response.content.decode())


def test_list_shows_newest_first_with_what_failed(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    insert_traces(
        store,
        {"name": "first run", "start_ns": now_ns - 120 * NS_PER_S},
        {
            "name": "second run",
            "start_ns": now_ns - 60 * NS_PER_S,
            "outcome": "error",
            "error_types": ["TimeoutError"],
            "error_message": "no answer",
            "tools": [("refund", 2, 1)],
            "versions": ["v3"],
            "input_tokens": 3100,
            "output_tokens": 210,
            "cost_usd": 0.012,
        },
    )

    page = _text(client.get("/traces"))

    assert page.index("second run") < page.index("first run")
    for text in ("TimeoutError", "no answer", "refund", "v3", "3.1k", "210", "$0.012", "Failed", "1\u00a0m ago"):
        assert text in page


def test_list_goes_compressed_to_who_can_read_that(client: Client, store: Store) -> None:
    insert_traces(store, *({"name": f"run {number}"} for number in range(40)))

    plain = client.get("/traces")
    packed = client.get("/traces", headers={"accept-encoding": "gzip, br"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["vary"]
    assert gzip.decompress(packed.content).count(b"run 3") == plain.content.count(b"run 3") > 10
    assert len(packed.content) < len(plain.content) / 5


def test_query_of_the_address_narrows_the_list(client: Client, store: Store) -> None:
    failing = {"outcome": "error", "versions": ["v3"], "tools": [("refund", 1, 1)]}
    wanted, *_ = insert_traces(
        store, failing, failing | {"versions": ["v2"]}, failing | {"tools": []}, failing | {"outcome": "ok"}
    )

    page = _text(client.get("/traces", {"q": "status:error version:v3 tool:refund"}))

    assert page.count('class="trace-row"') == 1
    assert f'href="/traces/{wanted}?' in page


def test_tool_that_was_asked_for_is_shown_before_others(client: Client, store: Store) -> None:
    insert_traces(store, {"tools": [("a", 1, 0), ("b", 1, 0), ("c", 1, 0), ("refund", 1, 0)]})

    page = _text(client.get("/traces", {"q": "tool:refund"}))

    assert "refund: 1 call" in page


def test_tool_that_only_an_answer_names_is_said_to_be_asked_for(client: Client, store: Store) -> None:
    insert_traces(store, {"tools": [("refund", 0, 0)]})

    answer = client.get("/traces").content.decode()

    assert 'title="refund: asked for by a model, no span tells of it"' in answer


def test_name_that_may_be_cut_off_is_said_when_pointed_at(client: Client, store: Store) -> None:
    long = "GET /api/v1/organizations/{organization_id}/projects/{project_id}"
    insert_traces(store, {"name": long}, {"name": "invoke_agent support"})

    page = _text(client.get("/traces"))

    assert f'title="{long}"' in page
    assert 'title="invoke_agent support"' not in page


def test_rows_say_what_was_asked_and_by_choice_what_was_answered(client: Client, store: Store) -> None:
    insert_traces(store, {"preview": ("Where is <my> order?", "On its & way.")}, {"name": "quiet run"})

    rows = client.get("/traces").content.decode()
    answers = client.get("/traces", {"cols": "answered"}).content.decode()

    assert "<bdi>Where is &lt;my&gt; order?</bdi>" in rows
    assert 'title="Where is &lt;my&gt; order?&#10;invoke_agent support"' in rows
    assert "<bdi>invoke_agent support</bdi> · <bdi>support-bot</bdi>" in rows
    assert "<bdi>quiet run</bdi></a>" in rows
    assert "On its &amp; way.</bdi>" in answers
    assert "On its" not in rows


def test_signs_of_markup_in_a_type_of_error_are_escaped_once(client: Client, store: Store) -> None:
    insert_traces(store, outcome="error", error_types=["Result<T>&"], error_message="no")

    assert "Result<T>&</bdi>" in _text(client.get("/traces"))


def test_bad_query_is_answered_422_with_sentence_and_suggestion(client: Client, store: Store) -> None:
    insert_traces(store)

    response = client.get("/traces", {"q": "verson:v3"})

    page = _text(response)
    assert response.status_code == 422
    assert "There is no field" in page
    assert "<mark>verson</mark>" in page
    assert 'href="?q=version%3Av3"' in page
    assert "trace-row" not in page


def test_bad_time_is_answered_422_and_keeps_the_query(client: Client, store: Store) -> None:
    response = client.get("/traces", {"q": "tool:refund", "start": "yesterday"})

    assert response.status_code == 422
    assert "'yesterday' is not a time" in _text(response)
    assert 'value="tool:refund"' in _text(response)


def test_next_page_follows_without_gap_or_repeat(client: Client, store: Store) -> None:
    start_ns = time.time_ns() - 600 * NS_PER_S
    ids = insert_traces(store, *({"start_ns": start_ns - at} for at in range(120)))
    seen: list[str] = []
    url = "/traces"
    for _ in range(4):
        page = _text(client.get(url, headers=HTMX))
        seen += [part.partition('"')[0] for part in page.split('data-trace="')[1:]]
        if 'class="trace-more"' not in page:
            break
        url = page.partition('class="trace-more" hx-get="')[2].partition('"')[0]

    assert seen == ids


def test_one_url_answers_rows_to_htmx_and_a_page_to_others(client: Client, store: Store) -> None:
    insert_traces(store)

    page, rows = client.get("/traces"), client.get("/traces", headers=HTMX)

    assert "<!doctype html>" in _text(page)
    assert "<html" not in _text(rows)
    assert "HX-Request" in page.headers["Vary"]


def test_foreign_cursor_is_refused(client: Client, store: Store) -> None:
    refused = client.get("/traces", {"q": "tool:refund", "cursor": "x"})

    assert refused.status_code == 400
    body = refused.content.decode()
    assert "The cursor is not one that this list gave out." in body
    assert 'href="/traces?q=tool%3Arefund"' in body
    assert client.get("/traces", {"cursor": "x"}, headers={"HX-Request": "true"}).content.startswith(b"The cursor")


def test_hostile_text_is_shown_as_text(client: Client, store: Store) -> None:
    hostile = "<script>alert(1)</script>"
    insert_traces(
        store,
        {
            "name": hostile,
            "service": hostile,
            "versions": [hostile],
            "agents": ['" onmouseover="alert(1)'],
            "tools": [(hostile, 1, 1)],
            "error_types": [hostile],
            "error_message": "\x07\u202e" + "x" * 1_000_000,
            "outcome": "error",
        },
    )

    pages = [client.get("/traces")] + [client.get("/traces/facets", {"field": field}) for field in ("version", "tool", "error")]

    for page in pages:
        assert b"<script>alert" not in page.content
        assert b'" onmouseover' not in page.content
    assert b"&lt;script&gt;" in pages[0].content
    assert len(pages[0].content) < 100_000
    assert "\u202e" not in pages[0].content.decode()


def test_no_match_names_the_filters_and_offers_to_drop_each(client: Client, store: Store) -> None:
    insert_traces(store, {"versions": ["v3"]})

    page = _text(client.get("/traces", {"q": "version:v3 status:error"}))

    assert "No trace of any time matches all of these" in page
    assert 'href="?q=status%3Aerror"' in page
    assert 'href="?q=version%3Av3"' in page


def test_match_outside_of_the_range_offers_the_range_that_holds_it(client: Client, store: Store) -> None:
    insert_traces(store, {"versions": ["v3"], "start_ns": time.time_ns() - 3 * 86_400 * NS_PER_S})

    page = _text(client.get("/traces", {"q": "version:v3"}))

    assert "This query has matches" in page
    assert 'href="?q=version%3Av3&start=now-7d"' in page


def test_facet_counts_what_matches_the_rest_of_the_query(client: Client, store: Store) -> None:
    insert_traces(store, {"versions": ["v3"], "outcome": "error"}, {"versions": ["v3"]}, {"versions": ["v2"]})

    page = _text(client.get("/traces/facets", {"field": "version", "q": "version:v3"}))

    assert "v3: 2 traces, 1 failed" in page
    assert "v2: 1 trace, 0 failed" in page
    assert 'href="?q=version%3A%28v3+OR+v2%29"' in page


def test_unknown_facet_is_refused(client: Client, store: Store) -> None:
    assert client.get("/traces/facets", {"field": "password"}).status_code == 400


def test_volume_counts_requests_and_failures(client: Client, store: Store) -> None:
    insert_traces(store, {"outcome": "error"}, {}, {})

    page = _text(client.get("/traces/volume", {"start": "now-1h"}))

    assert "<strong>3</strong> traces" in page
    assert "1 failed" in page
    assert page.count("volume__failures") == 1


def test_new_traces_are_counted_since_the_newest_shown(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    insert_traces(store, {"start_ns": now_ns - 30 * NS_PER_S}, {"start_ns": now_ns - 20 * NS_PER_S})

    page = _text(client.get("/traces/new", {"since": str(now_ns - 25 * NS_PER_S)}))
    none = _text(client.get("/traces/new", {"since": str(now_ns - 20 * NS_PER_S)}))

    assert "1 new trace" in page
    assert "new trace<" not in none
    assert 'hx-trigger="every' in none


def test_since_in_the_future_counts_nothing(client: Client, store: Store) -> None:
    assert client.get("/traces/new", {"since": str(2**63 - 1)}).status_code == 200
    assert client.get("/traces/new", {"since": "x"}).status_code == 400


def test_completion_offers_observed_values(client: Client, store: Store) -> None:
    insert_traces(store, {"versions": ["v3"]})

    offers = client.get("/traces/complete", {"q": "version:", "cursor": "8"}).json()

    assert offers["start"] == 8
    assert offers["items"] == [{"label": "v3", "insert": "v3", "help": "1 trace", "more": False}]


def test_start_page_leads_to_the_list_and_keeps_its_query(client: Client, store: Store) -> None:
    response = client.get("/?q=tool:refund")

    assert response.headers["Location"] == "/traces?q=tool:refund"


def test_each_condition_of_the_query_has_a_chip_that_drops_it(client: Client, store: Store) -> None:
    insert_traces(store, outcome="error", versions=["v3"])

    page = _text(client.get("/traces", {"q": 'status:error version:v3 -user:"a b"', "sort": "-cost"}))

    assert page.count('class="condition__drop"') == 3
    assert 'href="/traces?q=version%3Av3+-user%3A%22a+b%22&sort=-cost"' in page


def test_columns_of_the_address_are_shown_with_what_they_say(client: Client, store: Store) -> None:
    insert_traces(store, user_id="u/1", session_id="s 1", environment="prod", error_count=4, workflows=["<b>flow"])

    page = _text(client.get("/traces", {"cols": "user,session,environment,errors,workflow"}))

    heads = page.partition("<thead")[2].partition("</thead>")[0]
    assert [name for name in ("Status", "Trace", "Workflow", "User", "Errors", "Cost") if f">{name}<" in heads] == [
        "Trace", "Workflow", "User", "Errors",
    ]  # fmt: skip
    assert 'href="/users/u/1"' in page
    assert 'href="/sessions/s%201"' in page
    assert ">prod<" in page
    assert "&lt;b&gt;flow" in client.get("/traces", {"cols": "workflow"}).content.decode()


def test_pages_of_a_sorted_list_keep_its_order_and_columns(client: Client, store: Store) -> None:
    insert_traces(store, *({"cost_usd": number / 7} for number in range(60)))

    page = _text(client.get("/traces", {"sort": "-cost", "cols": "cost"}))
    url = page.partition('class="trace-more" hx-get="')[2].partition('"')[0]
    rows = _text(client.get(url, headers=HTMX))

    assert "$8.43" in page
    assert rows.count('class="trace-row"') == 10
    assert "$1.29" in rows
    assert "trace-row__status" not in rows


def test_bad_cursor_of_a_sorted_list_is_refused(client: Client, store: Store) -> None:
    assert client.get("/traces", {"sort": "-cost", "cursor": "MTIz"}).status_code == 400


def test_outlier_strips_link_to_the_slowest_of_their_time(client: Client, store: Store) -> None:
    insert_traces(store, {"duration_ns": 42 * NS_PER_S, "cost_usd": None})

    strips = _text(client.get("/traces/outliers", {"q": "status:ok"}, headers=HTMX))

    assert "Slowest <strong>42\u00a0s</strong>" in strips
    assert "sort=-duration" in strips
    assert "No trace has a price" in strips


def test_tail_gives_what_was_written_since_and_from_when_to_go_on(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    old, new = insert_traces(store, {"summarized_at": 1}, {"summarized_at": now_ns // 1_000})

    rows = _text(client.get("/traces/tail", {"live": "1", "since": str(now_ns)}, headers=HTMX))
    until = int(rows.partition('data-until="')[2].partition('"')[0])

    assert f'data-trace="{new}"' in rows
    assert f'data-trace="{old}"' not in rows
    assert now_ns < until < time.time_ns()
    assert client.get("/traces/tail", {"since": "x"}).status_code == 400
    assert client.get("/traces/tail", {"since": "1", "cursor": "x"}).status_code == 400


def test_range_that_has_ended_cannot_be_followed(client: Client, store: Store) -> None:
    insert_traces(store)

    page = _text(client.get("/traces", {"live": "1", "start": "now-2h", "end": "now-1s"}))

    assert "trace-tail" not in page
    assert 'id="live"' not in page


def test_column_of_scores_shows_reviews_first_and_what_counts_now(client: Client, store: Store) -> None:
    reviewed, other = insert_traces(store, {}, {})
    told = {"event_name": "gen_ai.evaluation.result", "trace_id": reviewed}
    name, value, score_id = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value", "tracestore.score.id"
    insert_logs(store, told | {"attributes": {name: "review", value: 1.0, score_id: "r"}}, received_ns=time.time_ns() - 9)
    insert_logs(
        store,
        told | {"attributes": {name: "faithfulness", value: 0.256}},
        told | {"attributes": {name: "review", value: 0.0, score_id: "r", "gen_ai.evaluation.explanation": "<b>wrong</b>"}},
    )

    with_scores = _text(client.get("/traces", {"cols": "name,scores"}))
    without = _text(client.get("/traces"))

    row, of_other = (with_scores.split(f'data-trace="{trace_id}"')[1].split("</tr>")[0] for trace_id in (reviewed, other))
    assert re.findall(r'score__said truncate">([^<]*)<', row) == ["bad", "0.256"]
    assert "<b>wrong</b>" in row  # a text, in its title
    assert "score__said" not in of_other
    assert "score__said" not in without
