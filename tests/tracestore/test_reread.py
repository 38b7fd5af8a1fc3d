"""Stored spans read again: exactly as if they had arrived under the rules of today."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.spans import build_request
from tests.tracestore.test_mapping import ACME, rule
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch, stamp
from tracestore.jobs import reread
from tracestore.jobs.reread import AlreadyRunning, cancel_reread, reread_pending, start_reread
from tracestore.jobs.summarize import roll_up_pending, summarize_pending
from tracestore.mapping import encode_rules
from tracestore.models import MappingRule, Project, Reread
from tracestore.queries import reread as reread_queries

pytestmark = pytest.mark.usefixtures("default_project")

MINUTE_NS = 60 * 10**9
# In the middle of a month, so that a test decides itself whether it crosses into another.
START_NS = 1_789_500_000 * 10**9 // MINUTE_NS * MINUTE_NS
TRACES = 12


def save(*rules: MappingRule) -> None:
    MappingRule.objects.all().delete()
    for position, unsaved in enumerate(rules):
        MappingRule.objects.create(
            project_id=1, position=position, source=unsaved.source, key=unsaved.key, pattern=unsaved.pattern,
            target=unsaved.target, value=unsaved.value,
        )  # fmt: skip


def conversations(first_id: int, start_ns: int = START_NS) -> list[dict[str, Any]]:
    """Return the spans of TRACES traces a minute apart: a run, a model call and a call of a tool."""
    spans: list[dict[str, Any]] = []
    for number in range(TRACES):
        trace = {"trace_id": f"{first_id + number:032x}", "start_ns": start_ns + number * MINUTE_NS}
        root = f"{(first_id + number) * 8 + 1:016x}"
        spans += [
            trace | {"span_id": root, "name": "run", "attributes": {"acme.conv": f"c-{number % 3}", "list": ["a", 1]}},
            trace
            | {
                "span_id": f"{(first_id + number) * 8 + 2:016x}", "parent": root, "name": "ask",
                "attributes": {
                    "acme.kind": "LLMCALL", "acme.model": "gpt-4o", "acme.tokens.in": 100 + number, "output_tokens": 10,
                },
            },
            trace
            | {
                "span_id": f"{(first_id + number) * 8 + 3:016x}", "parent": root, "name": "act",
                "attributes": {"acme.tool": "page_oncall" if number % 2 else "look"},
                "events": [("exception", {"exception.type": "ValueError", "exception.message": "no"})] if number == 5 else [],
            },
        ]  # fmt: skip
    return spans


def insert(store: Store, spans: list[dict[str, Any]], *, project_id: int = 1, mapping: str = "", seq: int = 0) -> None:
    payload = stamp(build_request(*spans, resource={"acme.team": "blue"}), ingest_key="k", spans=len(spans))
    seq = seq or int.from_bytes(os.urandom(5), "big")
    insert_batch(
        store, [(project_id, time.time_ns(), payload)], writer=f"w{project_id}", batch_seq=seq, mappings={project_id: mapping}
    )


def run_to_the_end() -> Reread:
    for _ in range(200):
        if not reread_pending(work_s=0):
            break
    job = Reread.objects.last()
    assert job is not None
    return job


def columns(store: Store, *without: str) -> str:
    names = [str(name) for (name,) in store.query_rows("SELECT name FROM system.columns WHERE table = 'spans' ORDER BY position")]
    return ", ".join(name for name in names if name not in without)


def newest(store: Store, project_id: int, names: str) -> list[tuple[Any, ...]]:
    """Return the rows that readers see: of each span the copy received last."""
    sql = f"""SELECT {names} FROM (SELECT *, arguments_hash, attribute_codes FROM spans WHERE project_id = {{project_id:UInt32}}
        ORDER BY received_at DESC LIMIT 1 BY trace_id, span_id) ORDER BY trace_id, span_id"""
    return store.query_rows(sql, project_id=project_id)


def summaries(store: Store, project_id: int) -> list[tuple[Any, ...]]:
    names = """trace_id, start_time, name, outcome, escalated, span_count, llm_calls, input_tokens, output_tokens, cost_usd,
        session_id, tools.name, tools.calls, models.model, error_types"""
    sql = f"SELECT {names} FROM traces FINAL WHERE project_id = {{project_id:UInt32}} ORDER BY trace_id"
    return store.query_rows(sql, project_id=project_id)


def rollups(store: Store, project_id: int) -> list[tuple[Any, ...]]:
    sql = """SELECT bucket_start, dimension, value, requests, failures, escalations, spans, input_tokens, output_tokens, cost_usd,
        calls FROM rollups FINAL WHERE project_id = {project_id:UInt32} AND requests > 0 ORDER BY ALL"""
    return store.query_rows(sql, project_id=project_id)


def test_old_spans_become_what_new_ones_are(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reread, "_CHUNK_SPANS", 7)
    Project.objects.create(pk=2, slug="second", name="Second")
    spans = conversations(1)
    insert(store, spans)
    insert(store, spans)  # a retry
    insert(store, spans, project_id=2, mapping=encode_rules(ACME))
    intake = store.query_rows("SELECT sum(spans) FROM intake")
    received = store.query_rows("SELECT sum(received_spans) FROM trace_index")
    arrived = newest(store, 1, "writer, batch_seq, ingest_key, sdk, toStartOfMillisecond(received_at)")
    summarize_pending()
    save(*ACME, rule("list", "user_id", pattern="no-such (list)*"))

    start_reread(1)
    job = run_to_the_end()
    summarize_pending()
    roll_up_pending()

    assert (job.status, job.error) == ("done", "")
    assert job.spans_done == job.spans_total > 0
    assert job.chunk > 3
    own = ("project_id", "received_at", "writer", "batch_seq")
    assert newest(store, 1, columns(store, *own)) == newest(store, 2, columns(store, *own))
    assert newest(store, 1, "writer, batch_seq, ingest_key, sdk, toStartOfMillisecond(received_at)") == arrived
    assert summaries(store, 1) == summaries(store, 2)
    assert sum(row[7] for row in summaries(store, 1)) == sum(100 + number for number in range(TRACES))
    assert sum(row[4] for row in summaries(store, 1)) == TRACES // 2 - 1  # the call that failed reached nobody
    assert rollups(store, 1) == rollups(store, 2) != []
    assert store.query_rows("SELECT sum(spans) FROM intake") == intake
    assert store.query_rows("SELECT sum(received_spans) FROM trace_index") == received
    assert store.query_rows("SELECT count() FROM spans WHERE project_id = 1") == [(len(spans),)]


def test_no_reader_counts_a_span_twice_at_any_step(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reread, "_CHUNK_SPANS", 5)
    insert(store, conversations(1))
    save(rule("acme.conv", "session_id"))
    start_reread(1)

    counts = set()
    for _ in range(200):
        summarize_pending()
        counts.add((len(newest(store, 1, "span_id")), sum(row[5] for row in summaries(store, 1))))
        if not reread_pending(work_s=0):
            break

    assert counts == {(3 * TRACES, 3 * TRACES)}


def test_step_that_died_before_it_was_noted_is_repeated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reread, "_CHUNK_SPANS", 5)
    insert(store, conversations(1))
    save(rule("acme.conv", "session_id"))
    start_reread(1)
    reread_pending(work_s=0)
    touch = reread_queries.touch_traces

    def die(*args: Any, **values: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reread_queries, "touch_traces", die)
    with pytest.raises(KeyboardInterrupt):
        reread_pending(work_s=0)
    monkeypatch.setattr(reread_queries, "touch_traces", touch)
    job = run_to_the_end()

    assert (job.status, job.spans_done) == ("done", job.spans_total)
    sessions = [session for session, name in newest(store, 1, "session_id, name") if name == "run"]
    assert sessions == [f"c-{number % 3}" for number in range(TRACES)]


def test_months_are_read_one_after_the_other(store: Store) -> None:
    insert(store, conversations(1, start_ns=1_790_812_800 * 10**9 - 6 * MINUTE_NS))  # around the first of October 2026
    save(rule("acme.conv", "session_id"))
    start_reread(1)

    job = run_to_the_end()

    assert (job.status, job.chunk) == ("done", 2)
    assert len({session for (session,) in newest(store, 1, "session_id") if session}) == 3


def test_deleting_the_rules_and_reading_again_undoes_them(store: Store) -> None:
    insert(store, conversations(1))
    before = newest(store, 1, columns(store, "received_at"))
    save(*ACME)
    start_reread(1)
    run_to_the_end()
    assert newest(store, 1, columns(store, "received_at")) != before

    save()
    start_reread(1)
    run_to_the_end()

    assert newest(store, 1, columns(store, "received_at")) == before


def test_other_projects_are_left_alone(store: Store) -> None:
    Project.objects.create(pk=2, slug="second", name="Second")
    insert(store, conversations(1), project_id=2)
    before = newest(store, 2, "*")
    save(*ACME)
    start_reread(1)

    run_to_the_end()

    assert newest(store, 2, "*") == before


def test_one_at_a_time_and_cancelled(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reread, "_CHUNK_SPANS", 5)
    insert(store, conversations(1))
    start_reread(1)
    with pytest.raises(AlreadyRunning):
        start_reread(1)
    reread_pending(work_s=0)

    assert cancel_reread(1)
    assert not cancel_reread(1)
    reread_pending()

    job = Reread.objects.get()
    assert (job.status, job.spans_done < 3 * TRACES) == ("cancelled", True)
    start_reread(1)


def test_project_without_spans_is_done_at_once(store: Store) -> None:
    start_reread(1)

    assert run_to_the_end().status == "done"


def test_command_starts_tells_and_cancels(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    insert(store, conversations(1))

    call_command("reread_spans", "--status")
    call_command("reread_spans")
    with pytest.raises(CommandError, match="already"):
        call_command("reread_spans")
    run_to_the_end()
    call_command("reread_spans", "--status")
    call_command("reread_spans", "--cancel")
    with pytest.raises(CommandError, match="no project"):
        call_command("reread_spans", "--project", "none")

    assert capsys.readouterr().out.splitlines() == [
        "Never ran.", "The worker begins within seconds; --status says how far it is.", "Done: 36 of 36 spans.",
        "Nothing is under way.",
    ]  # fmt: skip
