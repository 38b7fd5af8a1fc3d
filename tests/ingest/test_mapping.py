"""Rules of a project from the database to the spans that arrive, and the page and API where they are made."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from ingest.service import Ingest
from tests.ingest.conftest import build_request, build_span
from tests.ingest.drains import wait_until_drained
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable
from tracestore.clickhouse.landing import insert_batch, stamp
from tracestore.mapping import encode_rules
from tracestore.models import MappingRule, Project


def _session(store: Store, project_id: int) -> list[str]:
    rows = store.query_rows("SELECT session_id FROM spans WHERE project_id = {project_id:UInt32}", project_id=project_id)
    return [str(session) for (session,) in rows]


def _request(conversation: str) -> bytes:
    span = build_span()
    span.attributes.add(key="acme.conv").value.string_value = conversation
    body: bytes = build_request(span).SerializeToString()
    return body


RULES = encode_rules([MappingRule(key="acme.conv", target="session_id")])


def test_one_batch_of_projects_with_and_without_rules(store: Store, tmp_path: Path) -> None:
    ingest = Ingest(store, data=tmp_path, find_mappings=lambda ids: {2: RULES} if 2 in ids else {})
    ingest.start(lambda *_: None)

    for future in [ingest.accept(project_id, _request("c"), spans=1) for project_id in (1, 2, 1, 2)]:
        future.result(60)
    wait_until_drained(ingest)
    ingest.stop(60)

    assert (_session(store, 1), _session(store, 2)) == (["", ""], ["c", "c"])


def test_large_batch_under_rules_goes_in_pieces_each_once(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.drain._MAX_MAPPED_BYTES", 500)
    ingest = Ingest(store, data=tmp_path, find_mappings=lambda ids: {1: RULES})
    ingest.start(lambda *_: None)

    for future in [ingest.accept(1, _request(f"c{number}"), spans=1) for number in range(12)]:
        future.result(60)
    wait_until_drained(ingest)
    ingest.stop(60)

    assert sorted(_session(store, 1)) == sorted(f"c{number}" for number in range(12))
    assert store.query_rows("SELECT sum(spans) FROM intake") == [(12,)]


def test_spans_wait_while_the_rules_cannot_be_read(store: Store, tmp_path: Path) -> None:
    away = [True, True]

    def find(ids: object) -> dict[int, str]:
        if away:
            away.pop()
            raise StoreUnavailable("the database is away")
        return {1: RULES}

    ingest = Ingest(store, data=tmp_path, find_mappings=find)
    ingest.start(lambda *_: None)

    ingest.accept(1, _request("c"), spans=1).result(60)
    wait_until_drained(ingest)
    ingest.stop(60)

    assert not away
    assert _session(store, 1) == ["c"]


def test_batch_replayed_after_its_project_lost_its_rules_counts_once(store: Store, tmp_path: Path) -> None:
    """The checkpoint knows which table has the batch, whatever the rules are after a crash."""
    checkpoint = tmp_path / "spool" / "checkpoint.json"
    rules, open_batches = {1: RULES}, []

    def find(ids: object) -> dict[int, str]:
        open_batches.append(checkpoint.read_text())
        return rules

    ingest = Ingest(store, data=tmp_path, find_mappings=find)
    ingest.start(lambda *_: None)
    ingest.accept(1, _request("c"), spans=1).result(60)
    wait_until_drained(ingest)
    ingest.stop(60)
    assert '"mapped": [1]' in open_batches[-1]

    checkpoint.write_text(open_batches[-1])  # as if the process had died after the insert
    rules.clear()
    again = Ingest(store, data=tmp_path, find_mappings=find)
    again.start(lambda *_: None)
    wait_until_drained(again)
    again.stop(60)

    assert len(open_batches) == 3
    assert _session(store, 1) == ["c"]
    assert store.query_rows("SELECT sum(spans) FROM intake") == [(1,)]


SPAN = {"name": "ask", "attributes": [{"key": "acme.conv", "value": {"stringValue": "c-1"}}]}


def _post(client: Client, path: str, body: object) -> tuple[int, Any]:
    answer = client.post(f"/api/v1/mapping/{path}", body, content_type="application/json")
    return answer.status_code, answer.json()


@pytest.mark.django_db
@pytest.mark.usefixtures("default_project")
class TestApi:
    def test_rules_are_made_changed_listed_and_deleted(self, client: Client) -> None:
        status, rule = _post(client, "rules", {"key": "acme.conv", "target": "session_id"})
        path = f"/api/v1/mapping/rules/{rule['id']}"
        changed = client.patch(path, {"pattern": "c-*"}, content_type="application/json").json()
        sent_back = client.put(path, changed | {"key": "acme.talk"}, content_type="application/json")
        listed = client.get("/api/v1/mapping/rules").json()["results"]
        deleted = client.delete(path)

        assert (status, rule["source"], changed["pattern"]) == (201, "attribute", "c-*")
        assert (sent_back.status_code, listed) == (200, [changed | {"key": "acme.talk"}])
        assert (deleted.status_code, client.get(path).status_code) == (204, 404)

    @pytest.mark.parametrize(
        ("body", "parameter"),
        [
            ({"key": "x"}, "target"),
            ({"key": "x", "target": "nothing"}, "target"),
            ({"target": "session_id"}, "key"),
            ({"key": "x", "target": "kind"}, "value"),
            ({"key": "x" * 257, "target": "session_id"}, "key"),
            ({"key": "x\u0000", "target": "session_id"}, "key"),
            ({"key": "x", "target": "session_id", "patern": "y"}, "patern"),
            ({"key": {}, "target": "session_id"}, "key"),
            ([], None),
        ],
    )
    def test_nonsense_is_refused_with_the_field(self, client: Client, body: object, parameter: str | None) -> None:
        status, answer = _post(client, "rules", body)

        assert (status, answer["error"]["parameter"]) == (400, parameter)
        assert MappingRule.objects.count() == 0

    @pytest.mark.parametrize(
        ("target", "said"),
        [
            ("sesion_id", "There is no field 'sesion_id' that a rule can fill. Did you mean session_id?"),
            ("Input_Token", "There is no field 'Input_Token' that a rule can fill. Did you mean input_tokens?"),
            ("colour", "There is no field 'colour' that a rule can fill. There are session_id, "),
        ],
    )
    def test_target_with_a_slip_of_the_pen_is_answered_with_the_one_that_is_meant(
        self, client: Client, target: str, said: str
    ) -> None:
        status, answer = _post(client, "rules", {"key": "x", "target": target})

        assert (status, answer["error"]["parameter"]) == (400, "target")
        assert answer["error"]["message"].startswith(said)

    def test_hundred_rules_are_enough(self, client: Client) -> None:
        MappingRule.objects.bulk_create([MappingRule(project_id=1, key="x", target="session_id") for _ in range(100)])

        status, answer = _post(client, "rules", {"key": "x", "target": "session_id"})

        assert (status, "at most 100" in answer["error"]["message"]) == (400, True)

    def test_rules_of_another_project_are_out_of_reach(self, client: Client) -> None:
        other = Project.objects.create(slug="other", name="Other")
        rule = MappingRule.objects.create(project=other, key="x", target="session_id")

        assert client.get("/api/v1/mapping/rules").json() == {"results": [], "next": None}
        assert client.delete(f"/api/v1/mapping/rules/{rule.pk}").status_code == 404
        assert client.get(f"/setup/mapping/{rule.pk}").status_code == 404
        assert client.post(f"/setup/mapping/{rule.pk}/delete").status_code == 404

    def test_trial_says_what_a_span_becomes_and_why(self, client: Client, store: Store) -> None:
        rules = [
            {"key": "acme.conv", "target": "session_id"},
            {"key": "acme.conv", "target": "session_id", "value": "second"},
            {"key": "acme.other", "target": "user_id"},
            {"source": "name", "pattern": "as*", "target": "kind", "value": "llm"},
        ]
        status, answer = _post(client, "test", {"span": SPAN, "rules": rules})
        fields = {field["name"]: field for field in answer["fields"]}

        assert status == 200
        assert fields["session_id"] == {
            "name": "session_id", "without_rules": "", "value": "c-1", "origin": "rule: acme.conv",
        }  # fmt: skip
        assert (fields["kind"]["without_rules"], fields["kind"]["value"]) == ("other", "llm")
        assert [(rule["value"], rule["counts"]) for rule in answer["rules"]] == [
            ("c-1", True), ("second", False), ("", False), ("llm", True),
        ]  # fmt: skip
        assert store.query_rows("SELECT count() FROM spans") == [(0,)]

    def test_trial_names_the_attribute_of_a_convention(self, client: Client, store: Store) -> None:
        attributes = [
            {"key": key, "value": {"stringValue": value}}
            for key, value in {"session.id": "s", "metadata": '{"user_id": "u"}', "model": "gpt-4o"}.items()
        ]
        request = {
            "resourceSpans": [
                {
                    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                    "scopeSpans": [{"spans": [{"name": "x", "attributes": attributes}, {"name": "y"}]}],
                }
            ]
        }

        _, answer = _post(client, "test", {"span": json.dumps(request)})

        origins = {field["name"]: field["origin"] for field in answer["fields"] if field["origin"]}
        assert origins == {
            "session_id": "session.id", "user_id": "metadata.user_id", "request_model": "model",
            "service": "resource:service.name",
        }  # fmt: skip

    def test_trial_of_a_stored_span_by_its_address(self, client: Client, store: Store) -> None:
        span = build_span()
        span.attributes.add(key="acme.conv").value.string_value = "c-9"
        payload = stamp(build_request(span).SerializeToString(), ingest_key="", spans=1)
        insert_batch(store, [(1, time.time_ns(), payload)], writer="w", batch_seq=1)
        address = f"http://host/traces/{span.trace_id.hex()}?span={span.span_id.hex()}"
        before = store.query_rows("SELECT * FROM spans")

        _, answer = _post(client, "test", {"span": address, "rules": [{"key": "acme.conv", "target": "session_id"}]})

        assert {field["name"]: field["value"] for field in answer["fields"]}["session_id"] == "c-9"
        assert store.query_rows("SELECT * FROM spans") == before

    @pytest.mark.parametrize(
        "span", ["", "hello", "{", "[]", "{}", '{"resourceSpans": []}', '{"resourceSpans": 7}', "[" * 5000, "x" * 70_000,
                 json.dumps({"name": "x" * 70_000}), "a" * 32 + " " + "b" * 16, 7, None, "'; DROP TABLE spans"],
        ids=str,
    )  # fmt: skip
    def test_what_is_no_span_is_refused_with_a_reason(self, client: Client, store: Store, span: object) -> None:
        status, answer = _post(client, "test", {"span": span})

        assert (status, answer["error"]["parameter"]) == (400, "span") if span != "{}" else status in (200, 400)

    def test_reread_is_started_followed_and_cancelled(self, client: Client) -> None:
        missing = client.get("/api/v1/mapping/reread").status_code
        status, job = _post(client, "reread", None)
        second, _ = _post(client, "reread", None)
        deleted = client.delete("/api/v1/mapping/reread").status_code

        assert (missing, status, job["status"], second, deleted) == (404, 202, "running", 409, 204)
        assert client.get("/api/v1/mapping/reread").json()["status"] == "cancelled"


@pytest.mark.django_db
@pytest.mark.usefixtures("default_project")
class TestPage:
    def test_empty_page_says_what_a_rule_is_for(self, client: Client) -> None:
        page = client.get("/setup/mapping").content.decode()

        assert "No rules: Tracestore reads the conventions it knows" in page
        assert 'aria-current="page">Attribute mapping' in page
        assert '<option value="session_id" selected>' in page  # a target that is complete without a constant

    def test_rule_is_added_changed_and_deleted(self, client: Client) -> None:
        values = {"source": "attribute", "key": "acme.<b>", "pattern": "", "target": "session_id", "value": "", "position": "7"}
        added = client.post("/setup/mapping", values)
        rule = MappingRule.objects.get()
        client.post(f"/setup/mapping/{rule.pk}", values | {"pattern": "x*"})
        rule.refresh_from_db()
        page = client.get("/setup/mapping").content.decode()
        client.post(f"/setup/mapping/{rule.pk}/delete")

        assert (added.status_code, rule.pattern) == (302, "x*")
        assert "acme.&lt;b&gt;" in page
        assert '<td data-label="Order" class="num">7</td>' in page
        assert "acme.<b>" not in page
        assert not MappingRule.objects.exists()

    def test_wrong_rule_keeps_what_was_typed(self, client: Client) -> None:
        answer = client.post(
            "/setup/mapping", {"source": "attribute", "key": "", "target": "kind", "value": "x", "position": "0"}
        )

        assert answer.status_code == 422
        assert "Name the attribute." in answer.content.decode()
        assert "Choose one of agent, llm" in answer.content.decode()

    def test_trial_takes_the_rule_in_the_form(self, client: Client, store: Store) -> None:
        form = {"source": "attribute", "key": "acme.conv", "target": "session_id", "position": "0", "span": json.dumps(SPAN)}
        MappingRule.objects.create(project=Project.objects.get(), key="acme.other", target="user_id")
        page = client.post("/setup/mapping/test", form).content.decode()
        wrong = client.post("/setup/mapping/test", form | {"target": "kind"})
        none = client.post("/setup/mapping/test", {"span": ""})

        assert "rule: acme.conv" in page
        assert "in the form" not in page.partition("<bdi>acme.other")[2].partition("</li>")[0]
        assert "in the form" in page.partition("<bdi>acme.conv</bdi> →")[2].partition("</li>")[0]
        assert MappingRule.objects.count() == 1
        assert (wrong.status_code, none.status_code) == (422, 422)
        assert "Paste a span" in none.content.decode()

    def test_stored_spans_are_read_again_from_the_page(self, client: Client) -> None:
        started = client.post("/setup/mapping/reread/switch", headers={"HX-Request": "true"}).content.decode()
        again = client.post("/setup/mapping/reread/switch", headers={"HX-Request": "true"})
        cancelled = client.post("/setup/mapping/reread/switch", {"cancel": "1"}, headers={"HX-Request": "true"}).content.decode()

        assert 'hx-trigger="every 2s"' in started
        assert again.status_code == 422
        assert "Cancelled" in cancelled
        assert 'hx-trigger="every' not in client.get("/setup/mapping/reread").content.decode()
