"""Scores by the REST API: through the spool into the log records that evaluations are, and from there to pages and metrics."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from ingest import service
from ingest.api.scores import MAX_SCORES, _writer
from ingest.service import Ingest
from tests.factories import default_project, new_trace_id
from tests.ingest.conftest import IdleFlusher
from tests.ingest.drains import wait_until_drained
from tests.spans import build_request
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending
from tracestore.keys import forget_keys
from tracestore.language import parse_query
from tracestore.models import IngestKey, MaskedValues, Privacy, Project
from tracestore.privacy import policy
from tracestore.privacy.counts import masked_counts
from tracestore.queries.metrics.series import metric_value
from tracestore.timerange import NS_PER_S, TimeRange

pytestmark = pytest.mark.django_db

SCORES = "/api/v1/scores"
STEP = "1" * 16


@pytest.fixture(autouse=True)
def project() -> Iterator[Project]:
    forget_keys()
    policy.forget_policies()
    yield default_project()
    policy.forget_policies()


@pytest.fixture
def drain(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Ingest runs; calling this waits until all that it has acknowledged is in the store."""
    monkeypatch.setattr(service, "Flusher", IdleFlusher)
    ingest = Ingest(store, data=tmp_path)
    ingest.start(lambda writer, batch_seq: None)

    yield partial(wait_until_drained, ingest)
    ingest.stop(60)


def post(client: Client, body: Any, **headers: str) -> Any:
    return client.post(SCORES, body, content_type="application/json", headers=headers)


def refuse_insert(*arguments: Any, **options: Any) -> None:
    raise StoreUnavailable("away")


def read_stored(store: Store) -> list[tuple[Any, ...]]:
    """Return (project, key, trace id, span id, session, attributes) of each stored score, oldest first."""
    return store.query_rows(
        "SELECT project_id, ingest_key, lower(hex(trace_id)), lower(hex(span_id)), session_id, attributes FROM logs"
        " WHERE project_id > 0 AND event_name = 'gen_ai.evaluation.result' ORDER BY time, attributes['gen_ai.evaluation.name']"
    )


def test_score_is_stored_as_an_evaluation_of_its_step(client: Client, store: Store, drain: Callable[[], None]) -> None:
    trace_id = new_trace_id()
    score = {"id": "a1", "trace_id": trace_id.upper(), "span_id": STEP, "name": "helpful", "value": 0.5, "comment": "Half of it."}

    answer = post(client, score | {"source": "human", "annotator": "ada", "time": "2026-11-20T08:30:00Z"})
    drain()

    assert answer.status_code == 201
    assert answer.json()["results"] == [
        score | {
            "trace_id": trace_id, "session_id": "", "label": "", "source": "human", "annotator": "ada",
            "time": "2026-11-20T08:30:00.000000000Z",
        }
    ]  # fmt: skip
    assert read_stored(store) == [
        (1, "", trace_id, STEP, "", {
            "gen_ai.evaluation.name": "helpful", "gen_ai.evaluation.explanation": "Half of it.",
            "gen_ai.evaluation.evaluator.source": "human", "tracestore.score.annotator": "ada", "tracestore.score.id": "a1",
            "gen_ai.evaluation.score.value": "0.5",
        })
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "number", "label"),
    [(True, 1, "true"), (False, 0, "false"), ("refund", None, "refund"), (3, 3, ""), (-0.25, -0.25, ""), ("0.5", None, "0.5")],
)
def test_value_is_a_number_a_truth_value_or_a_category(
    client: Client, drain: Callable[[], None], value: Any, number: float | None, label: str
) -> None:
    (stored,) = post(client, {"session_id": "s-1", "name": "kind", "value": value}).json()["results"]

    assert (stored["value"], stored["label"]) == (number, label)
    assert len(stored["id"]) == 32


def test_scores_show_on_the_trace_and_count_in_metrics_once(client: Client, store: Store, drain: Callable[[], None]) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    run = {"trace_id": trace_id, "span_id": STEP, "name": "run", "start_ns": now_ns - NS_PER_S}
    insert_batch(store, [(1, now_ns, build_request(run))], writer="scores", batch_seq=1)
    summarize_pending()
    score = {"trace_id": trace_id, "name": "<i>resolved</i>"}

    for value in (0, 0, 1):  # sent again because its answer got lost, then changed
        assert post(client, score | {"id": "once", "value": value, "annotator": "bob"}).status_code == 201
    post(client, {"scores": [score | {"name": "tone", "span_id": STEP, "value": "rude"}]})
    drain()

    page = client.get(f"/traces/{trace_id}").content.decode()
    panel = client.get(f"/traces/{trace_id}/spans/{STEP}", headers={"HX-Request": "true"}).content.decode()
    scores = page[page.index('data-io="scores"') :].split("</section>")[0]
    an_hour = TimeRange(now_ns - 1800 * NS_PER_S, now_ns + 1800 * NS_PER_S)
    found = client.get("/api/v1/logs", {"q": f"event:gen_ai.evaluation.result trace:{trace_id}"}).json()["results"]

    assert scores.count("&lt;i&gt;resolved&lt;/i&gt;") == 1
    assert "bob" in scores
    assert ">1</span>" in scores
    assert "rude" in panel
    assert metric_value(store, project_id=1, time_range=an_hour, query=parse_query(""), metric="scores") == 1
    assert metric_value(store, project_id=1, time_range=an_hour, query=parse_query(""), metric="score_mean") == 1
    assert len(found) == 4


def test_acknowledged_score_survives_a_restart_and_is_stored_once(client: Client, store: Store, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:  # or the restart finds them stored, or an insert under way
        patch.setattr("ingest.service.insert_batch", refuse_insert)
        ingest = Ingest(store, data=tmp_path)
        ingest.start(lambda writer, batch_seq: None)
        statuses = [post(client, {"session_id": "s", "name": f"n{number}", "value": 1}).status_code for number in range(5)]
        ingest.stop(60)
        assert read_stored(store) == []

    again = Ingest(store, data=tmp_path)
    again.start(lambda writer, batch_seq: None)
    wait_until_drained(again)
    again.stop(60)

    assert statuses == [201] * 5
    assert sorted(attributes["gen_ai.evaluation.name"] for *_, attributes in read_stored(store)) == ["n0", "n1", "n2", "n3", "n4"]


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"value": None}, "value"), ({"value": [1]}, "value"), ({"value": ""}, "value"), ({"value": "x" * 201}, "value"),
        ({"value": 10**400}, "value"), ({"name": ""}, "name"), ({"name": "\ud800"}, "name"), ({"value": "\ud800"}, "value"),
        ({"trace_id": "xyz"}, "trace_id"), ({"trace_id": "0" * 32}, "trace_id"), ({"trace_id": ""}, "trace_id"),
        ({"trace_id": "", "session_id": "s", "span_id": STEP}, "span_id"), ({"span_id": "1"}, "span_id"),
        ({"time": "soon"}, "time"), ({"time": "1999-01-01T00:00:00Z"}, "time"), ({"time": "2200-01-01T00:00:00Z"}, "time"),
        ({"vlaue": 1}, "vlaue"), ({"comment": "x" * 20_001}, "comment"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_stored(
    client: Client, store: Store, drain: Callable[[], None], change: dict[str, Any], parameter: str
) -> None:
    good = {"trace_id": new_trace_id(), "name": "helpful", "value": 1}

    alone = post(client, good | change)
    listed = post(client, {"scores": [good, good | change]})
    drain()

    assert (alone.status_code, listed.status_code) == (400, 400)
    assert alone.json()["error"]["parameter"] == parameter
    assert listed.json()["error"]["parameter"] == f"scores.1.{parameter}"
    assert read_stored(store) == []


def test_lists_that_are_no_lists_of_scores_are_refused(client: Client, drain: Callable[[], None]) -> None:
    score = {"session_id": "s", "name": "n", "value": 1}

    bodies: list[Any] = [
        {"scores": []}, {"scores": [score] * (MAX_SCORES + 1)}, {"scores": 1}, {"scores": [1]}, [score], {}, "null",
    ]  # fmt: skip
    statuses = [post(client, body).status_code for body in bodies]

    assert statuses == [400] * 7


def test_key_chooses_the_project_and_is_demanded(
    client: Client, store: Store, settings: Settings, drain: Callable[[], None]
) -> None:
    settings.KEY_REQUIRED = True
    other = Project.objects.create(slug="other", name="Other")
    IngestKey.objects.create(project=other, name="ci", sha256=hashlib.sha256(b"ci-key").hexdigest())
    score = {"session_id": "s", "name": "n", "value": 1}

    refused = [post(client, score).status_code, post(client, score, **{"x-api-key": "wrong"}).status_code]
    stored = post(client, score, authorization="Bearer ci-key").status_code
    drain()

    assert refused == [401, 401]
    assert stored == 201
    assert [row[:2] for row in read_stored(store)] == [(other.pk, "ci")]


def test_privacy_rules_hold_for_scores(client: Client, store: Store, project: Project, drain: Callable[[], None]) -> None:
    Privacy.objects.create(project=project, presets=["email"], hash_key="0" * 64)

    post(client, {"session_id": "s", "name": "n", "value": "to ada@example.com", "comment": "Ask ada@example.com."})
    drain()

    ((*_, attributes),) = read_stored(store)
    assert attributes["gen_ai.evaluation.explanation"] == "Ask [email]."
    assert attributes["gen_ai.evaluation.score.label"] == "to [email]"
    masked_counts.flush()
    assert list(MaskedValues.objects.values_list("rule", "masked")) == [("email", 2)]


def test_without_ingest_in_the_process_the_answer_says_where_to_send(client: Client) -> None:
    answer = post(client, {"session_id": "s", "name": "n", "value": 1})

    assert answer.status_code == 503
    assert "OTLP over HTTP" in answer.json()["error"]["message"]
    assert answer.headers["Retry-After"] == "2"


def test_process_without_ingest_inserts_into_a_server(client: Client, store: Store, project: Project, settings: Settings) -> None:
    settings.CLICKHOUSE_URL = "http://clickhouse"  # the store of these tests stands for it
    Privacy.objects.create(project=project, presets=["email"], hash_key="0" * 64)
    trace_id, now_ns = new_trace_id(), time.time_ns()
    run = {"trace_id": trace_id, "span_id": STEP, "name": "run", "start_ns": now_ns - NS_PER_S}
    insert_batch(store, [(1, now_ns, build_request(run))], writer="apart", batch_seq=1)
    summarize_pending()
    score = {"id": "a", "trace_id": trace_id, "name": "n", "comment": "Ask ada@example.com."}

    statuses = [post(client, score | {"value": value}).status_code for value in (1, 2)]
    found, counted = listed(client, trace_id=trace_id), count(store, now_ns)
    withdrawn = client.delete(f"{SCORES}/a").status_code

    assert statuses == [201, 201]
    assert [(score["value"], score["comment"]) for score in found] == [(2, "Ask [email].")]
    assert counted == 1
    assert list(MaskedValues.objects.values_list("rule", "masked")) == [("email", 2)]
    assert withdrawn == 204
    assert listed(client, trace_id=trace_id) == []


def test_forked_process_numbers_its_inserts_under_another_name() -> None:
    of_parent, numbers = _writer(1)

    assert (_writer(1)[0], next(numbers), next(_writer(1)[1])) == (of_parent, 1, 2)
    assert _writer(2)[0] != of_parent


def test_scores_that_the_server_does_not_take_are_to_be_sent_again(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CLICKHOUSE_URL = "http://clickhouse"
    monkeypatch.setattr("ingest.api.scores.insert_batch", refuse_insert)

    answer = post(client, {"session_id": "s", "name": "n", "value": 1})

    assert answer.status_code == 503
    assert "send them again with the same ids: away" in answer.json()["error"]["message"]
    assert answer.headers["Retry-After"] == "2"


def listed(client: Client, **parameters: Any) -> list[dict[str, Any]]:
    answer = client.get(SCORES, parameters)
    assert answer.status_code == 200, answer.content
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def count(store: Store, now_ns: int) -> float | None:
    hours = TimeRange(now_ns - 1800 * NS_PER_S, now_ns + 1800 * NS_PER_S)
    return metric_value(store, project_id=1, time_range=hours, query=parse_query(""), metric="scores")


def test_scores_are_listed_newest_first_in_pages_without_gap(client: Client, drain: Callable[[], None]) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    # Five of each moment; the second half of them some days ago.
    times = [now_ns - NS_PER_S * (1 + number // 5 + (number // 20) * 3 * 86_400) for number in range(40)]
    post(
        client,
        {
            "scores": [
                {"id": f"s{n}", "trace_id": trace_id, "name": "n", "value": n, "time": str(at)} for n, at in enumerate(times)
            ]
        },
    )
    drain()

    seen, url, moments = list[str](), f"{SCORES}?trace_id={trace_id.upper()}&limit=7", list[str]()
    for _ in range(10):
        body = client.get(url).json()
        seen += [score["id"] for score in body["results"]]
        moments += [score["time"] for score in body["results"]]
        if not (url := body["next"]):
            break

    assert sorted(seen) == sorted(f"s{number}" for number in range(40))
    assert moments == sorted(moments, reverse=True)
    assert len(listed(client)) == 20


def test_list_is_filtered_by_what_is_scored_name_and_time(client: Client, drain: Callable[[], None]) -> None:
    trace_id = new_trace_id()
    about = {"trace_id": trace_id, "span_id": STEP, "session_id": "s"}
    scores = [
        about | {"id": "a", "name": "tone", "value": "rude", "comment": "Hm.", "source": "human", "annotator": "ada"},
        {"id": "b", "session_id": "s", "name": "csat", "value": 4, "time": "2026-11-01T00:00:00Z"},
        {"id": "c", "session_id": "t", "name": "csat", "value": 5},
    ]
    stored = post(client, {"scores": scores}).json()["results"]
    drain()

    def ids(**parameters: Any) -> list[str]:
        return [score["id"] for score in listed(client, **parameters)]

    assert listed(client, trace_id=trace_id) == [stored[0]]
    assert ids(session_id="s") == ["a", "b"]
    assert ids(name="csat") == ["c"]
    assert ids(name="csat", start="2026-10-31") == ["c", "b"]
    assert ids(start="2026-10-31", end="2026-11-02") == ["b"]
    assert ids(session_id="s", name="csat", end="2026-11-01") == []
    assert [
        client.get(SCORES, given).status_code for given in ({"q": "x"}, {"limit": 0}, {"cursor": "x"}, {"start": "soon"})
    ] == [400] * 4


def test_list_shows_what_an_id_stands_for_now(client: Client, drain: Callable[[], None]) -> None:
    score = {"id": "a", "session_id": "s"}
    post(client, score | {"name": "first", "value": 1, "time": "2026-11-01T00:00:00Z"})
    post(client, score | {"name": "second", "value": 2, "time": "2026-11-03T00:00:00Z"})
    drain()

    assert [found["name"] for found in listed(client, session_id="s")] == ["second"]
    assert listed(client, start="2026-10-31", end="2026-11-02") == []
    assert listed(client, session_id="s", name="first") == []


def test_withdrawn_score_counts_and_shows_no_more_until_it_is_sent_again(
    client: Client, store: Store, drain: Callable[[], None]
) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    run = {"trace_id": trace_id, "span_id": STEP, "name": "run", "start_ns": now_ns - NS_PER_S, "session_id": "s"}
    insert_batch(store, [(1, now_ns, build_request(run))], writer="withdrawn", batch_seq=1)
    summarize_pending()
    score = {"id": "of/mine?", "trace_id": trace_id, "name": "clumsy", "value": 1}
    post(
        client,
        {
            "scores": [
                score,
                score | {"id": "kept", "name": "kept"},
                {"id": "of/mine?", "session_id": "s", "name": "n", "value": 2},
            ]
        },
    )

    answers = [client.delete(f"{SCORES}/of/mine%3F") for _ in range(2)]  # at once, before they are stored
    drain()

    assert [answer.status_code for answer in answers] == [204, 404]
    assert answers[1].json()["error"]["message"] == "There is no score with this id, or it is withdrawn already."
    assert [found["id"] for found in listed(client)] == ["kept"]
    assert count(store, now_ns) == 1
    page = client.get(f"/traces/{trace_id}").content.decode()
    assert "clumsy" not in page[page.index('data-io="scores"') :].split("</section>")[0]

    store.command("OPTIMIZE TABLE scores FINAL")
    assert count(store, now_ns) == 1
    post(client, score)
    drain()
    assert count(store, now_ns) == 2


def test_result_that_no_id_came_with_can_be_withdrawn(client: Client, store: Store, drain: Callable[[], None]) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    attributes = {"annotations.0.annotation.name": "tone", "annotations.0.annotation.score": 0.5}
    run = {"trace_id": trace_id, "span_id": STEP, "name": "run", "start_ns": now_ns - NS_PER_S, "attributes": attributes}
    payload = build_request(run)
    insert_batch(store, [(1, now_ns, payload)], writer="annotated", batch_seq=1)
    summarize_pending()
    (found,) = listed(client, trace_id=trace_id)

    assert count(store, now_ns) == 1
    assert client.delete(f"{SCORES}/{found['id']}").status_code == 204
    drain()
    insert_batch(store, [(1, now_ns, payload)], writer="annotated", batch_seq=2)  # an exporter sends it again

    assert count(store, now_ns) == 0
    assert listed(client) == []


@pytest.mark.parametrize("scope", ["trace", "session"])
def test_withdrawn_annotation_shows_on_no_step_that_repeats_it(
    client: Client, store: Store, drain: Callable[[], None], scope: str
) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    said = {"annotations.0.annotation.name": "kept", "annotations.0.annotation.score": 1}
    said |= {f"{scope}.annotations.0.annotation.name": "clumsy", f"{scope}.annotations.0.annotation.score": 0.5}
    steps = [
        {
            "trace_id": trace_id,
            "span_id": f"{number:016x}",
            "name": "step",
            "start_ns": now_ns - NS_PER_S + number,
            "session_id": "s",
            "attributes": said,
        }
        for number in (1, 2, 3)
    ]
    insert_batch(store, [(1, now_ns, build_request(*steps))], writer="repeated", batch_seq=1)
    summarize_pending()

    def shown() -> list[set[str]]:
        panels = [client.get(f"/traces/{trace_id}/spans/{number:016x}", headers={"HX-Request": "true"}) for number in (1, 2, 3)]
        return [{name for name in ("kept", "clumsy") if f"<strong>{name}<" in panel.content.decode()} for panel in panels]

    assert shown() == [{"kept", "clumsy"}] * 3
    (of_all,) = (found["id"] for found in listed(client) if found["name"] == "clumsy")

    assert client.delete(f"{SCORES}/{of_all}").status_code == 204
    drain()

    assert shown() == [{"kept"}] * 3


def test_score_that_is_told_of_another_step_shows_there_alone(client: Client, store: Store, drain: Callable[[], None]) -> None:
    trace_id, now_ns = new_trace_id(), time.time_ns()
    steps = [
        {"trace_id": trace_id, "span_id": f"{number:016x}", "name": "step", "start_ns": now_ns - NS_PER_S + number}
        for number in (1, 2)
    ]
    insert_batch(store, [(1, now_ns, build_request(*steps))], writer="moved", batch_seq=1)
    summarize_pending()

    def tell(**of: str) -> None:
        post(client, {"id": "one", "trace_id": trace_id, "name": "clumsy", "value": 1, **of})
        drain()

    def shown() -> list[bool]:
        paths = (f"/traces/{trace_id}/spans/{1:016x}", f"/traces/{trace_id}/spans/{2:016x}", f"/traces/{trace_id}")
        pages = [client.get(path, headers={"HX-Request": "true"} if "spans" in path else {}) for path in paths]
        return ["clumsy" in page.content.decode().partition('data-io="scores"')[2].partition("</section>")[0] for page in pages]

    tell(span_id=f"{1:016x}")
    first = shown()
    tell(span_id=f"{2:016x}")
    second = shown()
    tell()

    assert [first[:2], second[:2], shown()] == [[True, False], [False, True], [False, False, True]]


def test_other_project_neither_sees_nor_withdraws_a_score(
    client: Client, store: Store, settings: Settings, drain: Callable[[], None]
) -> None:
    settings.KEY_REQUIRED = True
    for name in ("one", "two"):
        project = Project.objects.create(slug=name, name=name)
        IngestKey.objects.create(project=project, name=name, sha256=hashlib.sha256(name.encode()).hexdigest())
    post(client, {"id": "a", "session_id": "s", "name": "n", "value": 1}, authorization="Bearer one")
    drain()

    def ask(method: Any, path: str, key: str) -> Any:
        return method(path, headers={"authorization": f"Bearer {key}"})

    assert ask(client.get, SCORES, "two").json()["results"] == []
    assert ask(client.delete, f"{SCORES}/a", "two").status_code == 404
    assert client.delete(f"{SCORES}/a").status_code == 401
    assert [score["id"] for score in ask(client.get, SCORES, "one").json()["results"]] == ["a"]


def test_same_id_twice_in_one_request_is_refused(client: Client, store: Store, drain: Callable[[], None]) -> None:
    score = {"id": "a", "name": "n", "value": 1}

    refused = post(client, {"scores": [score | {"session_id": "s"}, score | {"session_id": "s", "value": 2}]})
    taken = post(client, {"scores": [score | {"session_id": "s"}, score | {"session_id": "t"}]})

    assert (refused.status_code, taken.status_code) == (400, 201)
    assert refused.json()["error"]["parameter"] == "scores.1.id"


def test_id_that_nobody_gave_is_not_found(client: Client, drain: Callable[[], None]) -> None:
    post(client, {"id": "a", "session_id": "s", "name": "n", "value": 1})
    ids = ("%00", "%FF%FE", "x" * 8000, "%27%20OR%201%3D1", "..%2F..", "%F0%9F%99%82", "{p0:String}")

    answers = {score_id: client.delete(f"{SCORES}/{score_id}").status_code for score_id in ids}

    assert answers == dict.fromkeys(ids, 404)
    assert [score["id"] for score in listed(client)] == ["a"]
