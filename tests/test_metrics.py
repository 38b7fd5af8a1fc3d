"""`GET /metrics` of a real server after real traffic, and what the same traffic leaves on the data quality page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from tests.ingest.conftest import JSON, PROTOBUF, build_request, build_span
from tests.live import ROOT, LiveServer, copy_template, free_port, start_server, wait_until_ready

KEY = "the key of this test"
Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("metrics"), TRACESTORE_API_KEY=KEY)
    send_traffic(server)
    yield server
    server.stop()


def send(server: LiveServer, body: bytes, content_type: str = PROTOBUF, key: str = KEY) -> int:
    headers = {"content-type": content_type, "x-api-key": key, "user-agent": "OTel-OTLP-Exporter-Python/1.45.0"}
    request = urllib.request.Request(server.otlp_url + "/v1/traces", data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def send_traffic(server: LiveServer) -> None:
    """Three spans, one of them twice; one span without a trace id; what is refused as a whole."""
    spans = [build_span(), build_span(), build_span(name="kept")]
    nameless = build_span(name="lost one", trace_id=b"")
    assert send(server, build_request(*spans, nameless).SerializeToString()) == 200
    assert send(server, build_request(spans[0]).SerializeToString()) == 200
    assert send(server, json.dumps({"resourceSpans": []}).encode(), JSON) == 200
    assert send(server, b"\xff\xff") == 400
    assert send(server, b"x", "text/plain") == 415
    assert send(server, b"", key="an expired key") == 401


def get(server: LiveServer, path: str, **headers: str) -> tuple[str, str]:
    request = urllib.request.Request(server.url + path, headers={"x-api-key": KEY} | headers)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return answer.read().decode(), answer.headers["content-type"]


def scrape(server: LiveServer) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(get(server, "/metrics")[0]):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return samples


def scrape_until(server: LiveServer, name: str, value: float) -> Samples:
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        samples = scrape(server)
        if sum(samples.get(name, {}).values()) >= value:
            return samples
        time.sleep(0.2)
    raise AssertionError(f"{name} did not reach {value}: {samples.get(name)}")


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


def test_every_stage_counts_the_traffic(server: LiveServer) -> None:
    scrape_until(server, "tracestore_drain_spans_total", 4)  # the last that the drain counts of a batch, perhaps in between
    samples = scrape(server)

    requests = samples["tracestore_ingest_requests_total"]
    assert requests[labels(signal="traces", encoding="protobuf", status="200")] == 2
    assert requests[labels(signal="traces", encoding="json", status="200")] == 1
    assert requests[labels(signal="traces", encoding="protobuf", status="400")] == 1
    assert requests[labels(signal="traces", encoding="protobuf", status="401")] == 1
    assert requests[labels(signal="traces", encoding="other", status="415")] == 1
    assert samples["tracestore_ingest_spans_total"] == {labels(result="accepted"): 4, labels(result="rejected"): 1}
    assert samples["tracestore_ingest_body_bytes_total"][labels(signal="traces")] > 100
    assert samples["tracestore_ingest_acknowledge_seconds_count"][labels()] == 3
    assert 1 <= samples["tracestore_spool_sync_seconds_count"][labels()] <= 2
    assert samples["tracestore_drain_spans_total"][labels()] == 4
    assert 1 <= samples["tracestore_drain_batches_total"][labels()] <= 2
    assert samples["tracestore_drain_bytes_total"][labels()] > 100
    assert samples["tracestore_drain_insert_seconds_count"] == samples["tracestore_drain_batches_total"]
    assert samples["tracestore_dead_letters"][labels()] == 0
    assert samples["tracestore_ingest_refusing"][labels()] == 0
    assert samples["tracestore_spool_max_bytes"][labels()] == 2**32
    assert {"tracestore_spool_waiting_bytes", "tracestore_spool_oldest_age_seconds"} <= set(samples)
    assert samples["tracestore_clickhouse_query_seconds_count"][labels(operation="select")] > 0
    assert samples["process_resident_memory_bytes"][labels()] > 10**7


def test_jobs_say_when_they_last_ended_well(server: LiveServer) -> None:
    samples = scrape_until(server, "tracestore_job_seconds_count", 2)

    assert time.time() - samples["tracestore_job_last_success_timestamp_seconds"][labels(job="summarize")] < 300
    assert samples["tracestore_job_lag_seconds"][labels(job="summarize")] < 300


def test_garbage_is_collected_once_all_is_loaded(server: LiveServer) -> None:
    samples = scrape(server)

    assert samples["python_gc_collections_total"][labels(generation="0")] > 30  # some ten before manage.py turns it off


def test_metrics_follow_the_conventions_and_are_documented(server: LiveServer) -> None:
    text, content_type = get(server, "/metrics", accept="application/openmetrics-text;version=1.0.0")
    families = [family for family in parse_openmetrics(text) if family.name.startswith("tracestore_")]  # type: ignore[no-untyped-call]
    manual = (ROOT / "docs" / "operating.md").read_text()

    assert content_type.startswith("application/openmetrics-text")
    assert len(families) > 15
    assert [family.name for family in families if not family.documentation] == []
    assert [family.name for family in families if f"`{name_in_manual(family.name, family.type)}`" not in manual] == []


def name_in_manual(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "another"}])
def test_metrics_are_under_the_rule_of_the_api(server: LiveServer, headers: dict[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(server.url + "/metrics", headers=headers), timeout=90)

    assert refused.value.code == 401
    assert "error" in json.load(refused.value)


def test_refusals_are_on_the_data_quality_page_after_a_restart_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("refusals")
    server = start_server(data, TRACESTORE_API_KEY=KEY)
    send_traffic(server)
    server.stop()
    server = start_server(data, TRACESTORE_API_KEY=KEY)
    try:
        page, _ = get(server, "/quality", **{"HX-Request": "true"})
    finally:
        server.stop()

    for expected in ("http_400", "http_401", "http_415", "bad_trace_id", "lost one", "unknown, sha256 d657941f", "OTel-OTLP-"):
        assert expected in page


def test_worker_alone_answers_on_its_port(tmp_path: Path) -> None:
    copy_template(tmp_path)
    port = free_port()
    environment = {"TRACESTORE_DATA": str(tmp_path), "TRACESTORE_WORKER_PORT": str(port), "TRACESTORE_API_KEY": KEY}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--role", "worker"],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=log,
            stderr=log,
        )
    try:
        server = LiveServer(process, f"http://127.0.0.1:{port}", "", "", tmp_path, tmp_path / "log")
        wait_until_ready(server)
        samples = scrape_until(server, "tracestore_job_seconds_count", 1)
    finally:
        process.terminate()
        process.wait(150)

    assert "tracestore_spool_waiting_bytes" not in samples
    assert process.returncode == 0, (tmp_path / "log").read_text()
