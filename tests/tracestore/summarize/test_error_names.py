"""A failed trace is named after the error of its failing step."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import insert_traces
from tests.tracestore.summarize.runs import AGENT, CALL, START_NS, a_run, batch_seqs, insert, new_trace_id, read_traces, step
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.migrate import FOLDER
from tracestore.fingerprint import fingerprint
from tracestore.jobs.summarize import summarize_pending
from tracestore.models import JobCursor

pytestmark = pytest.mark.django_db

_LIBRARY = '  File "/x/site-packages/a.py", line 7, in call\n    call()\n'
STACK = (
    f'Traceback (most recent call last):\n{_LIBRARY * 1000}  File "/app/pay.py", line 7, in refund\n    raise GatewayTimeout()\n'
)
SHORT_STACK = 'Traceback (most recent call last):\n  File "/app/pay.py", line 7, in refund\n    raise GatewayTimeout()'


def a_failing_run(trace_id: str, message: str, **events: Any) -> list[dict[str, Any]]:
    """Return an agent whose tool fails, and which fails with it."""
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "error.type": "GatewayTimeout"}
    return [
        step(trace_id, "1", duration_ns=10 * 10**9, attributes=AGENT, error="the tool failed"),
        step(trace_id, "2", "1", 1, attributes=tool, error=message, **events),
    ]


def test_failed_trace_is_named_after_the_error_of_its_failing_step(store: Store) -> None:
    one, other, fine, recovered = (new_trace_id() for _ in range(4))
    insert(store, *a_failing_run(one, "no answer for A-1"), *a_failing_run(other, "no answer for A-2"), *a_run(fine))
    insert(
        store,
        *a_run(recovered),
        step(recovered, "3", "1", 0.1, duration_ns=10**8, attributes={"gen_ai.operation.name": "chat"}, error="no"),
    )

    summarize_pending()

    names = dict(read_traces(store, "lower(hex(trace_id)), error_fingerprint"))
    expected = fingerprint("GatewayTimeout", "no answer for A-1")
    assert names == {one: expected, other: expected, fine: "", recovered: ""}


def test_stack_trace_of_the_failing_step_names_its_error(store: Store) -> None:
    trace_id = new_trace_id()
    exception = {"exception.type": "GatewayTimeout", "exception.stacktrace": STACK}
    insert(store, *a_failing_run(trace_id, "free text", events=[("exception", exception)]))

    summarize_pending()

    assert read_traces(store, "error_fingerprint") == [(fingerprint("GatewayTimeout", "other text", STACK),)]


def test_stack_trace_at_the_end_of_a_long_message_names_its_error(store: Store) -> None:
    trace_id = new_trace_id()
    insert(store, *a_failing_run(trace_id, "why " * 1000 + "\n" + SHORT_STACK))

    summarize_pending()

    assert read_traces(store, "error_fingerprint") == [(fingerprint("GatewayTimeout", "", SHORT_STACK),)]


def test_interrupted_trace_is_named_although_no_span_says_why(store: Store) -> None:
    insert(store, step(new_trace_id(), "2", "1", attributes=CALL, start_ns=START_NS - 86_400 * 10**9))

    summarize_pending()

    assert read_traces(store, "outcome_rule, error_fingerprint") == [("interrupted", fingerprint("interrupted", ""))]


def test_traces_that_failed_before_fingerprints_get_one_after_what_is_new(store: Store) -> None:
    old = [new_trace_id() for _ in range(3)]
    for trace_id in old:
        insert(store, *a_failing_run(trace_id, "no answer"))
    summarize_pending()
    store.command("TRUNCATE TABLE traces")
    store.command("TRUNCATE TABLE trace_touches")
    JobCursor.objects.all().delete()
    insert_traces(store, *({"trace_id": trace_id, "start_ns": START_NS, "outcome": "error"} for trace_id in old))
    migration = (FOLDER / "0029_fingerprints_of_old_traces.sql").read_text()
    # What it inserts must not be taken for a repeated insert: the engine remembers over all tests.
    store.command(migration.replace("2000", "2").replace("1 + intDiv", f"{next(batch_seqs) + 10**6} + intDiv"))

    runs = [summarize_pending(), summarize_pending()]

    assert runs == [2, 1]  # one batch at a time
    assert set(read_traces(store, "error_fingerprint")) == {(fingerprint("GatewayTimeout", "no answer"),)}
