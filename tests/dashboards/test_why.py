"""The page "Why" and its API: sentences, links, presets, and what they say when there is little to say."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from dashboards.comparing.why import build_answer, points, points_interval
from dashboards.comparing.why_search import parse_why
from dashboards.search.query_string import SearchRefused
from tests.dashboards.answers import text_of, words_of
from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.queries.why.comparison import Comparison
from tracestore.statistics.samples import Interval

pytestmark = pytest.mark.usefixtures("default_project")
NOTHING = Comparison(10, 90, [], [], [], 0, {})


def query_of(href: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(href).query).items()}


@pytest.fixture
def incident(store: Store) -> Store:
    chance = random.Random(2)
    traces: list[dict[str, Any]] = []
    for _ in range(400):
        version = chance.choice(["v2", "v3 <b>"])
        failed = chance.random() < (0.5 if version != "v2" else 0.02)
        traces.append(
            {"versions": [version], "outcome": "error" if failed else "ok", "agents": [chance.choice(["a", "b"])],
             "duration_ns": chance.randint(1, 9) * 10**9, "error_types": ["Boom"] if failed else []}
        )  # fmt: skip
    insert_traces(store, *traces)
    return store


def test_without_a_query_it_asks_about_failing_traces(client: Client, store: Store) -> None:
    response = client.get("/why?start=now-7d")

    assert response.status_code == 302
    assert query_of(response.headers["Location"]) == {"start": "now-7d", "q": "status:error"}


def test_page_comes_at_once_and_its_answer_after(client: Client, store: Store) -> None:
    page = text_of(client, "/why?q=status:error&against=version:v3&start=now-7d")

    assert 'hx-get="/why/answer?q=status%3Aerror&start=now-7d&against=version%3Av3"' in page
    assert 'value="version:v3"' in page


def test_sentence_names_the_strongest_difference_with_its_interval(client: Client, incident: Store) -> None:
    said = words_of(client, "/why/answer?q=status:error")

    failed = r"\d+ of 400 traces failed\. 9\d% of them ran version v3 <b>; of the rest \d\d%: "
    assert re.search(failed + r"\+\d\d points \(95% CI \d\d to \d\d\)", said)
    assert "Alike on both sides: agent" in said


def test_sentence_prefers_what_the_traces_have_to_what_they_lack(client: Client, store: Store) -> None:
    failed = [{"outcome": "error", "prompts": [], "tools": [("refund", 1, 1)] * (n < 27)} for n in range(30)]
    insert_traces(store, *failed, *[{"prompts": ["greeting"]} for _ in range(100)])

    said = words_of(client, "/why/answer?q=status:error")

    assert "90% of them used the tool refund" in said, said
    assert "have no prompt" not in said
    # The field that it names stands first, though the prompt differs more: phones show the first ones alone.
    assert said.index("Tool ") < said.index("Prompt ")


def test_sentence_names_what_is_missing_where_nothing_else_differs(client: Client, store: Store) -> None:
    insert_traces(store, *[{"outcome": "error", "prompts": []}] * 30, *[{"prompts": ["greeting"]} for _ in range(100)])

    assert "100% of them have no prompt" in words_of(client, "/why/answer?q=status:error")


def test_text_of_traces_is_shown_and_not_executed(client: Client, incident: Store) -> None:
    page = client.get("/why/answer?q=status:error").content.decode()

    assert "v3 &lt;b&gt;" in page
    assert "<b>" not in page


def test_value_links_to_its_traces_and_narrows_or_excludes_on_both_sides(client: Client, incident: Store) -> None:
    page = text_of(client, "/why/answer?q=status:error")

    hrefs = [query_of(href) for href in re.findall(r'href="([^"]*v2[^"]*)"', page)]
    assert {"q": "status:error version:v2"} in hrefs
    assert {"q": "status:error version:v2", "against": "version:v2"} in hrefs
    assert {"q": "status:error -version:v2", "against": "-version:v2"} in hrefs


def test_questions_stay_where_the_query_looks(client: Client, incident: Store) -> None:
    why = parse_why({"q": "status:error version:v2", "start": "now-7d"})

    answer = build_answer(why, Comparison(10, 90, [], [], [], 0, {"duration": 4.213e9, "cost": 0.03812}))

    assert {link.label: query_of(link.href).get("q", "") for link in answer.presets} == {
        "Failing": "version:v2 status:error",
        "Escalated": "version:v2 escalated:true",
        "Slowest 5% (over 4.21\u00a0s)": "version:v2 duration:>4.21s",
        "Costliest 5% (over $0.038)": "version:v2 cost:>0.0381",
        "Contains errors": "version:v2 has_errors:true",
    }
    assert all(query_of(link.href)["against"] == "version:v2" for link in answer.presets)
    assert [link.label for link in answer.presets if link.is_on] == ["Failing"]
    assert [link.label for link in answer.rivals] == ["everything else", "other traces with version:v2"]
    assert answer.verb == ""
    assert build_answer(parse_why({"q": "status:error version:v2", "against": "version:v2"}), NOTHING).verb == "failed"


def test_words_of_an_or_are_taken_as_they_are() -> None:
    why = parse_why({"q": "status:error OR version:v2"})

    assert (why.context, why.question) == ("", "status:error OR version:v2")
    assert why.querystring(against="") == "?q=status%3Aerror+OR+version%3Av2"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/why/answer?q=status:error", "No trace to explain"),
        ("/why/attributes?q=status:error", "No attributes are noted of the selection"),
    ],
)
def test_empty_store_says_what_to_do(client: Client, store: Store, path: str, sentence: str) -> None:
    assert sentence in words_of(client, path)


def test_few_traces_are_named_as_such(client: Client, store: Store) -> None:
    insert_traces(store, {"outcome": "error"}, *[{}] * 20)

    said = words_of(client, "/why/answer?q=status:error")

    assert "Only 1 trace is selected: shares of so few say little" in said
    assert "No value of any field sets them apart" in said


def test_selection_of_everything_has_nothing_to_compare_with(client: Client, store: Store) -> None:
    insert_traces(store, {"outcome": "error"})

    assert "That is every trace there is to compare with" in words_of(client, "/why/answer?q=status:error")


def test_each_query_that_does_not_parse_is_named(client: Client, store: Store) -> None:
    assert "There is no field “verison”" in text_of(client, "/why?q=verison:v3", 422)
    page = words_of(client, "/why?q=status:error&against=verison:v3", 422)
    assert "In the query to compare with: There is no field “verison”" in page
    with pytest.raises(SearchRefused):
        parse_why({"q": "status:error", "against": "("})


def test_points_keep_their_sign_and_never_round_a_bound_to_minus_zero() -> None:
    assert [points(value) for value in (0.774, -0.032, 0.0, -0.0001)] == ["+77", "−3.2", "0.0", "0.0"]
    assert points_interval(Interval(0.1, -0.05, None)) == "−5.0 to 100"


def test_list_leads_here_with_its_query_and_range(client: Client, store: Store) -> None:
    insert_traces(store)

    assert 'href="/why?q=version%3Av3&start=now-7d"' in text_of(client, "/traces?q=version:v3&start=now-7d").replace("&amp;", "&")


def test_api_gives_the_same_numbers(client: Client, incident: Store) -> None:
    answer = client.get("/api/v1/why?q=status:error&start=now-1h").json()

    first = answer["results"][0]
    assert answer["selected"] + answer["others"] == 400
    assert (first["field"], first["symptom"]) in {("error", True), ("version", False)}
    version = next(item for item in answer["results"] if (item["field"], item["value"]) == ("version", "v3 <b>"))
    assert version["significant"]
    assert version["difference"]["low"] < version["difference"]["value"] < version["difference"]["high"]
    assert {item["name"] for item in answer["numbers"]} >= {"duration", "spans"}
    assert client.get("/api/v1/why?q=status:error&attributes=true").json()["results"] == []


def test_api_names_the_query_that_is_wrong(client: Client, store: Store) -> None:
    response = client.get("/api/v1/why?q=status:error&against=verison:v3")

    assert response.status_code == 400
    assert response.json()["error"]["parameter"] == "against"
    assert response.json()["error"]["suggestion"] == "version"
