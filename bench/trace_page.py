"""How long the trace page takes in a real browser, by the size of the trace: `python -m bench.trace_page [--spans 100 5000]`.

Starts a private instance and the system's Chromium (CHROMIUM names another), sends one trace of each size over OTLP, and opens it
five times in each view with the browser's cache warm. Prints medians: server time and bytes of the page and of its steps, and in
milliseconds: until all that shows at first is drawn, until the first paint, the longest stretch in which the browser could not
react, and the slowest frame while the list is scrolled from top to bottom.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from playwright.sync_api import Page, sync_playwright

from bench.bodies import build_text
from tests.live import LiveServer, start_server

_RUNS = 5
_SPANS_A_REQUEST = 500
_VIEWS = ("transcript", "tree", "timeline", "graph")
_ARRIVAL_S = 180
# Before anything of the page runs: note when the rows stand, and every task that kept the browser from reacting.
_WATCH = """
window.taken = {tasks: []};
new PerformanceObserver((list) => list.getEntries().forEach((entry) => window.taken.tasks.push(entry.duration)))
  .observe({type: "longtask", buffered: true});
new MutationObserver(() => {
  const trace = document.querySelector("#trace[data-ready]");
  if (window.taken.ready || !trace || (trace.dataset.view === "transcript" && !document.getElementById("transcript"))) return;
  window.taken.ready = performance.now();
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ["data-ready"]});
"""
_SCROLL = """
() => new Promise((done) => {
  const body = document.getElementById("tree-body");
  const frames = [];
  let last = performance.now();
  let step = 0;
  const tick = () => {
    const now = performance.now();
    frames.push(now - last);
    last = now;
    step += 1;
    body.scrollTop = (body.scrollHeight * step) / 60;
    if (step < 60) requestAnimationFrame(tick);
    else done(Math.max(...frames.slice(1)));
  };
  requestAnimationFrame(tick);
})
"""


def build_spans(trace_id: bytes, count: int, start_ns: int) -> Iterator[Span]:
    """Yield a run of agents: turns of a sub-agent, each a model call with its HTTP request, and two tool calls."""
    chance = random.Random(count)
    ids = [chance.randbytes(8) for _ in range(count)]
    length_ns = count * 20_000_000
    kinds = ("invoke_agent", "chat", "", "execute_tool", "execute_tool")
    agent = 0
    for number in range(count):
        place = number % 5
        if number and place == 0:
            agent = number
        operation = "invoke_agent" if not number else kinds[place]
        begins_ns = start_ns + number * 20_000_000
        lasts_ns = {"invoke_agent": 95_000_000, "chat": 38_000_000, "": 30_000_000}.get(operation, 15_000_000)
        parent = b"" if not number else ids[0] if number == agent else ids[number - 1] if place == 2 else ids[agent]
        values: dict[str, str | int] = {"gen_ai.operation.name": operation} if operation else {"http.request.method": "POST"}
        if operation == "chat":
            text = json.dumps([{"role": "user", "content": build_text(chance, 120)}])
            values |= {"gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai", "gen_ai.input.messages": text}
            values |= {"gen_ai.usage.input_tokens": chance.randrange(9000), "gen_ai.usage.output_tokens": chance.randrange(900)}
        elif operation == "execute_tool":
            values |= {"gen_ai.tool.name": f"tool-{number % 7}", "gen_ai.tool.call.arguments": build_text(chance, 20)}
        elif operation:
            values["gen_ai.agent.name"] = "planner" if not number else f"worker-{number % 3}"
        name = " ".join(
            filter(None, (operation or "POST", str(values.get("gen_ai.tool.name", values.get("gen_ai.agent.name", "")))))
        )
        failed = operation == "execute_tool" and chance.random() < 0.02
        yield Span(
            trace_id=trace_id,
            span_id=ids[number],
            parent_span_id=parent,
            name=name,
            start_time_unix_nano=begins_ns,
            end_time_unix_nano=start_ns + length_ns if not number else begins_ns + lasts_ns,
            attributes=[
                KeyValue(key=key, value=AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value))
                for key, value in values.items()
            ],
            status=Status(code=Status.STATUS_CODE_ERROR, message="no answer") if failed else None,
        )


def send_trace(server: LiveServer, count: int) -> str:
    """Send a trace of so many spans, wait until it is summarized, and return its id."""
    trace_id = random.Random(-count).randbytes(16)
    spans = list(build_spans(trace_id, count, time.time_ns() - count * 20_000_000 - 60 * 10**9))
    for start in range(0, count, _SPANS_A_REQUEST):
        request = ExportTraceServiceRequest()
        request.resource_spans.add().scope_spans.add().spans.extend(spans[start : start + _SPANS_A_REQUEST])
        headers = {"content-type": "application/x-protobuf"}
        body = request.SerializeToString()
        urllib.request.urlopen(urllib.request.Request(f"{server.otlp_url}/v1/traces", body, headers), timeout=60).close()
    deadline = time.monotonic() + _ARRIVAL_S
    while time.monotonic() < deadline:
        try:
            found = urllib.request.urlopen(f"{server.url}/traces/{trace_id.hex()}", timeout=60).read().decode()
            if f"<dd>{count:,}" in found and 'data-outcome="running"' not in found:
                return trace_id.hex()
        except urllib.error.HTTPError:
            pass  # not there yet
        time.sleep(0.5)
    raise SystemExit(f"The trace of {count} spans did not arrive.")


def time_request(url: str) -> tuple[float, int]:
    """Return the median milliseconds of five requests, and the bytes of the answer."""
    took = []
    size = 0
    for _ in range(_RUNS):
        started = time.perf_counter()
        size = len(urllib.request.urlopen(url, timeout=120).read())
        took.append((time.perf_counter() - started) * 1e3)
    return statistics.median(took), size


def open_view(page: Page, url: str) -> dict[str, Any]:
    page.goto(url)
    page.wait_for_function("() => window.taken.ready", timeout=120_000)
    page.wait_for_timeout(200)  # the last long task is told after it has ended
    taken: dict[str, Any] = page.evaluate(
        "() => ({...window.taken, paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0})"
    )
    return {"ready": taken["ready"], "paint": taken["paint"], "longest": max(taken["tasks"], default=0)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, nargs="+", default=[100, 5_000, 10_000, 100_000])
    sizes = parser.parse_args().spans
    with tempfile.TemporaryDirectory(prefix="tracestore-bench-") as folder, sync_playwright() as playwright:
        server = start_server(Path(folder))
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            for count in sizes:
                measure(server, browser.new_page(viewport={"width": 1440, "height": 900}), count)
        finally:
            browser.close()
            server.stop(60)


def measure(server: LiveServer, page: Page, count: int) -> None:
    url = f"{server.url}/traces/{send_trace(server, count)}"
    (page_ms, page_bytes), (tree_ms, tree_bytes) = time_request(url), time_request(url + "/tree")
    search_ms, _ = time_request(url + "/search?q=no+such+words")
    print(
        f"{count:,} spans: page {page_ms:.0f} ms, {page_bytes / 1e3:.0f} kB; steps {tree_ms:.0f} ms, {tree_bytes / 1e3:,.0f} kB",
        end="",
    )
    print(f" ({tree_bytes / count:.0f} B a span before compression); search in payloads {search_ms:.0f} ms")
    page.add_init_script(_WATCH)
    for view in _VIEWS:
        runs = [open_view(page, f"{url}?view={view}") for _ in range(_RUNS + 1)][1:]  # the first fills the cache
        ready, paint, longest = (statistics.median(run[name] for run in runs) for name in ("ready", "paint", "longest"))
        scrolled = f", slowest frame while scrolling {page.evaluate(_SCROLL):.0f} ms" if view in ("tree", "timeline") else ""
        rows = page.locator({"graph": ".gnode", "transcript": "#transcript [data-span-id]"}.get(view, ".trow")).count()
        print(f"  {view:9} complete after {ready:.0f} ms, first paint {paint:.0f} ms, longest task {longest:.0f} ms", end="")
        print(f"{scrolled}; {rows} rows, nodes or cards in the document")
    page.close()


if __name__ == "__main__":
    main()
