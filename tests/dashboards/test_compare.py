"""The page "Compare" and its API."""

from __future__ import annotations

import re
import time

import pytest
from django.test import Client

from dashboards.comparing.cohorts import parse_compare
from dashboards.search.query_string import SearchRefused
from tests.dashboards.answers import text_of, words_of
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store

pytestmark = pytest.mark.usefixtures("default_project")
VERSIONS = "a=version:v2&b=version:v3"


@pytest.fixture
def versions(store: Store) -> Store:
    cohorts = [("v2", 80, 4, "OldError"), ("v3", 100, 40, "NewError")]
    insert_traces(
        store,
        *(
            {"versions": [version], "outcome": "error" if n < failed else "ok", "error_types": [error] * (n < failed)}
            for version, count, failed, error in cohorts
            for n in range(count)
        ),
    )
    return store


def test_without_queries_it_offers_the_versions_that_ran(client: Client, versions: Store) -> None:
    page = text_of(client, "/compare")

    assert "Choose what to compare" in page
    assert '<option value="version:v2" selected>v2 (80 traces)</option>' in page
    assert '<option value="version:v3" selected>v3 (100 traces)</option>' in page


def test_menu_shows_what_is_compared_though_it_has_no_traces(client: Client, versions: Store) -> None:
    page = text_of(client, "/compare?a=version:v1&b=version:v3")

    assert page.count('<option value="version:v1" selected>version:v1</option>') == 1
    assert page.count(" selected>v") == 2


def test_versions_of_different_services_are_not_proposed_together(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    hours_ago = {("shop", "v2"): 9, ("shop", "v3"): 2, ("crawler", "7.1"): 1, ("mail", "v3"): 3}
    counts = {("shop", "v2"): 40, ("shop", "v3"): 3, ("crawler", "7.1"): 60, ("mail", "v3"): 2}
    insert_traces(
        store,
        *(
            {"services": [service, "gateway"], "versions": [version], "start_ns": now_ns - hours * 3600 * 10**9}
            for (service, version), hours in hours_ago.items()
            for _ in range(counts[service, version])
        ),
    )

    page = text_of(client, "/compare?start=now-24h")

    assert '<optgroup label="shop"><option value="service:shop version:v3">v3 (3 traces)</option>' in page
    assert '<option value="service:shop version:v2" selected>v2 (40 traces)</option>' in page.split('id="version-b"')[0]
    assert '<option value="service:shop version:v3" selected>v3 (3 traces)</option>' in page.split('id="version-b"')[1]
    assert page.count(" selected>") == 2


def test_versions_of_one_trace_are_no_alternatives(client: Client, store: Store) -> None:
    now_ns = time.time_ns()
    runs = [(["v2"], 9), (["v2", "2.4.1"], 8), (["v3"], 2), (["v3", "2.4.1"], 1)]
    insert_traces(store, *({"versions": versions, "start_ns": now_ns - hours * 3600 * 10**9} for versions, hours in runs))

    page = text_of(client, "/compare?start=now-24h")

    first, second = page.split('id="version-b"')
    assert '<option value="version:v2" selected>' in first
    assert '<option value="version:v3" selected>' in second


def test_versions_that_are_no_alternatives_are_offered_but_not_proposed(client: Client, store: Store) -> None:
    insert_traces(store, {"versions": ["v3", "2.4.1"], "start_ns": time.time_ns() - 3600 * 10**9})

    page = text_of(client, "/compare")

    assert page.count('<option value="">Choose a version</option>') == 2
    assert '<option value="version:v3">' in page
    assert "ran in the same traces" in page
    assert 'href="/compare?start=now-7d"' in page


def test_only_version_of_a_range_is_named_with_ranges_that_may_have_another(client: Client, versions: Store) -> None:
    day_ns = 24 * 3600 * 10**9
    insert_traces(versions, {"versions": ["v1"], "start_ns": time.time_ns() - 10 * day_ns})

    page = text_of(client, "/compare?start=now-11d&end=now-9d")

    assert "Only version <bdi>v1</bdi> ran in this range (1 trace)." in page
    assert 'href="/compare?start=now-30d"' in page
    assert "start=now-7d" not in page.split("Only version")[1]


def test_cohort_without_traces_leads_to_the_range_with_both(client: Client, versions: Store) -> None:
    day_ns = 24 * 3600 * 10**9
    insert_traces(versions, {"versions": ["v1"], "start_ns": time.time_ns() - 2 * day_ns - 1})
    insert_traces(versions, {"versions": ["v0"], "start_ns": time.time_ns() - 90 * day_ns})

    recent = text_of(client, "/compare/answer?a=version:v1&b=version:v3")
    old = text_of(client, "/compare/answer?a=version:v0&b=version:v3")
    never = text_of(client, "/compare/answer?a=version:v9&b=version:v3")

    assert "A has no trace in this range" in recent
    assert "B has 100. The newest of A started 2\u00a0d ago." in recent
    assert 'href="/compare?a=version%3Av1&b=version%3Av3&start=now-7d"' in recent
    assert re.search(r'href="/compare\?a=version%3Av0&b=version%3Av3&start=20[^"]*&end=20', old)
    assert "No trace of any time matches A." in never
    assert "where both ran" not in never


def test_without_versions_it_says_how_to_give_one(client: Client, store: Store) -> None:
    assert "gen_ai.agent.version" in text_of(client, "/compare")


def test_numbers_have_intervals_and_verdicts(client: Client, versions: Store) -> None:
    said = words_of(client, f"/compare/answer?{VERSIONS}")

    assert re.search(r"Failure rate 5% 2% to 12% 40% 31% to 50% \+35 points 23 to 45 B is worse", said)
    assert "no certain difference" in said


def test_difference_that_rounds_to_nothing_has_no_sign(client: Client, store: Store) -> None:
    insert_traces(store, *({"versions": [f"v{2 + n % 2}"], "span_count": 3 + (n == 1)} for n in range(100)))

    said = words_of(client, f"/compare/answer?{VERSIONS}")

    assert re.search(r"Spans per trace 3\.0 3\.0 to 3\.0 3\.0 3\.0 to 3\.1 0\.0 \+0\.7% 0\.0 to \+0\.1", said), said


def test_errors_are_new_or_gone(client: Client, versions: Store) -> None:
    page = text_of(client, f"/compare/answer?{VERSIONS}")

    new, gone = page.split('aria-label="Gone errors"')
    assert "NewError" in new
    assert "OldError" not in new
    assert "OldError" in gone.split("What else differs")[0]
    assert "Error" not in gone.split("What else differs")[1]  # said once


def test_tools_say_which_of_them_made_it_worse_and_lead_to_its_failures(client: Client, store: Store) -> None:
    calls = {"v2": [("search", 2, 0), ("refund", 1, 0)], "v3": [("search", 2, 0), ("refund", 1, 1)]}
    insert_traces(store, *({"versions": [version], "tools": calls[version]} for version in calls for _ in range(40)))

    page, said = (read(client, f"/compare/answer?{VERSIONS}&start=now-7d") for read in (text_of, words_of))

    assert re.search(r"Verdict refund 0% of 40 calls 100% of 40 calls \+100 points \S+ to 100 B is worse search", said), said
    assert re.search(r"search 0% of 80 calls 0% of 80 calls 0\.0 points \S+ to \S+ no certain difference", said), said
    assert 'href="/traces?q=version%3Av3+tool_error%3Arefund&start=now-7d"' in page
    assert "tool_error%3Asearch" not in page
    [first, _] = client.get(f"/api/v1/compare?{VERSIONS}&start=now-7d").json()["tools"]
    assert (first["name"], first["a_calls"], first["b"]["value"], first["significant"]) == ("refund", 40, 1.0, True)


def test_sides_can_be_swapped_and_taken_to_other_pages(client: Client, versions: Store) -> None:
    page = text_of(client, f"/compare/answer?{VERSIONS}&start=now-7d")

    assert 'href="?a=version%3Av3&b=version%3Av2&start=now-7d"' in page
    assert 'href="/agents?q=version%3Av2&start=now-7d&against=version%3Av3"' in page
    assert 'href="/why?q=version%3Av3&start=now-7d&against=version%3Av2"' in page


def test_shared_traces_and_empty_cohorts_are_told(client: Client, versions: Store) -> None:
    assert "80 traces belong to both" in words_of(client, "/compare/answer?a=version:v2&b=version:v2")
    assert "B has no trace in this range" in words_of(client, "/compare/answer?a=version:v2&b=version:v9")
    assert "Neither cohort has a trace" in words_of(client, "/compare/answer?a=version:v8&b=version:v9")


def test_both_wrong_queries_are_named_at_once(client: Client, store: Store) -> None:
    page = words_of(client, "/compare?a=verison:v2&b=vrsion:v3&start=yesterday", 422)

    assert "In the query A: There is no field “verison”" in page
    assert "In the query B: There is no field “vrsion”" in page
    assert page.count("Time range:") == 1
    with pytest.raises(SearchRefused):
        parse_compare({"b": "("})


def test_api_gives_metrics_and_errors(client: Client, versions: Store) -> None:
    answer = client.get(f"/api/v1/compare?{VERSIONS}").json()

    rate = next(item for item in answer["results"] if item["name"] == "failure_rate")
    assert (rate["a"]["value"], rate["b"]["value"], rate["significant"]) == (0.05, 0.4, True)
    assert [item["value"] for item in answer["new_errors"]] == ["NewError"]
    assert [item["value"] for item in answer["gone_errors"]] == ["OldError"]
    assert (answer["a_traces"], answer["b_traces"], answer["shared"]) == (80, 100, 0)


def test_api_names_the_query_that_is_wrong(client: Client, store: Store) -> None:
    response = client.get("/api/v1/compare?a=version:v2&b=verison:v3")

    assert (response.status_code, response.json()["error"]["parameter"]) == (400, "b")
