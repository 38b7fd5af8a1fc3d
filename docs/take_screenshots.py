"""Retake docs/images: start a private instance, send it the demo's week, photograph every page wide and narrow, light and dark.

Run `make screenshots`. Needs chromium (CHROMIUM names another binary) and the development requirements; takes some minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, Python puts only docs/ on the path

from demo.send import Sender  # noqa: E402  # after the path
from demo.week import generate_week  # noqa: E402
from tests.corpus.recordings import END, START, recordings, replay  # noqa: E402
from tests.live import LiveServer, start_server  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZES = {1440: 900, 390: 844}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TRACES = 3000
SENTENCE = "status:error version:v3 tool:refund"
ARRIVAL_TIMEOUT_S = 180  # a busy machine is slow, not wrong
SETTLE_TIMEOUT_MS = 60_000
MOST_STEPS = 17  # what the trace page shows at once in the wide window
RULE = {
    "name": "Refunds of v3 fail",
    "metric": "failure_rate",
    "query": "version:v3 tool:refund",
    "window_s": 12 * 3600,
    "threshold": 0.1,
    "severity": "critical",
}

MAPPING_RULES = (
    {"key": "acme.conv", "target": "session_id"},
    {"key": "acme.kind", "pattern": "LLMCALL", "target": "kind", "value": "llm"},
    {"source": "tool", "pattern": "page_oncall", "target": "signal", "value": "human_escalation"},
)


@dataclass(frozen=True)
class Shot:
    """A page; `click` is a text on it to click first, where the window is wide."""

    name: str
    path: str
    click: str = ""


def call_api(server: LiveServer, path: str, body: dict[str, Any] | None = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"{server.url}/api/v1/{path}", data=data, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def send_demo(server: LiveServer) -> None:
    host, port = server.otlp_url.removeprefix("http://").split(":")
    with Sender(host, int(port), "") as sender:
        batch = []
        for turn in generate_week(TRACES, seed=7, now_ns=time.time_ns()):
            batch += turn.resource_spans
            if len(batch) >= 100:
                sender.send(batch)
                batch = []
        sender.send(batch)


def wait_for_results(server: LiveServer, path: str) -> list[dict[str, Any]]:
    """Return what the API lists at `path` as soon as it lists anything."""
    deadline = time.monotonic() + ARRIVAL_TIMEOUT_S
    while time.monotonic() < deadline:
        results: list[dict[str, Any]] = call_api(server, path)["results"]
        if results:
            return results
        time.sleep(1)
    raise SystemExit(f"nothing arrived at /api/v1/{path} within {ARRIVAL_TIMEOUT_S} s")


def wait_for_summaries(server: LiveServer, query: str) -> list[dict[str, Any]]:
    """Return the traces of the sentence once no more of them arrive for half a minute: summaries follow the spans."""
    found: list[dict[str, Any]] = []
    quiet_looks = 0
    for _ in range(120):
        newer = wait_for_results(server, f"traces?{query}&limit=100")
        quiet_looks = quiet_looks + 1 if len(newer) == len(found) else 0
        found = newer
        if quiet_looks == 6:
            break
        time.sleep(5)
    return found


def find_shots(server: LiveServer) -> list[Shot]:
    query = urllib.parse.urlencode({"q": SENTENCE, "start": "now-7d"}, safe=":")
    failing = wait_for_summaries(server, query)
    fitting = [found for found in failing if found["environment"] == "prod" and found["span_count"] <= MOST_STEPS]
    trace = max(fitting, key=lambda found: int(found["span_count"]))
    passing = call_api(server, "traces?" + urllib.parse.urlencode({"q": f'status:ok name:"{trace["name"]}"', "start": "now-7d"}))
    error = wait_for_results(server, "errors?start=now-7d")[0]
    versions = urllib.parse.urlencode({"a": "version:v2", "b": "version:v3", "start": "now-7d"}, safe=":")
    rule_id = call_api(server, "alert-rules", RULE)["id"]
    alert_id = wait_for_results(server, "alerts")[0]["id"]
    incident_id = wait_for_results(server, "incidents")[0]["id"]
    return [
        Shot("trace", f"/traces/{trace['trace_id']}", click="Stack trace"),
        Shot("tree", f"/traces/{trace['trace_id']}?view=tree"),
        Shot("timeline", f"/traces/{trace['trace_id']}?view=timeline"),
        Shot("graph", f"/traces/{trace['trace_id']}?view=graph"),
        Shot("compare-traces", f"/compare/traces?a={passing['results'][0]['trace_id']}&b={trace['trace_id']}"),
        Shot("compare", f"/compare?{versions}"),
        Shot("why", f"/why?{urllib.parse.urlencode({'q': 'status:error', 'start': 'now-7d'}, safe=':')}"),
        Shot("agents", f"/agents?{urllib.parse.urlencode({'q': 'version:v3', 'start': 'now-7d'}, safe=':')}"),
        Shot("errors", "/errors?start=now-7d"),
        Shot("error", f"/errors/{error['fingerprint']}?start=now-7d"),
        Shot("sessions", "/sessions?start=now-7d"),
        Shot("session", f"/sessions/{urllib.parse.quote(trace['session_id'], safe='')}?start=now-7d"),
        Shot("users", "/users?start=now-7d"),
        Shot("user", f"/users/{urllib.parse.quote(trace['user_id'], safe='')}?start=now-7d"),
        Shot("preview", f"/traces?{query}&peek={trace['trace_id']}"),
        Shot("help-query", "/help/query"),
        Shot("design", "/help/design"),
        Shot("traces", "/traces?start=now-7d"),
        Shot("search", f"/traces?{query}"),
        Shot("dashboard", "/dashboards/overview?start=now-7d"),
        Shot("dashboard-cost", "/dashboards/cost?start=now-7d"),
        Shot("dashboard-versions", "/dashboards/versions?start=now-7d"),
        Shot("dashboard-new", "/dashboards/new"),
        Shot("prices", "/setup/prices"),
        Shot("incidents", "/alerts/incidents"),
        Shot("incident", f"/alerts/incidents/{incident_id}"),
        Shot("routes", "/alerts/routes"),
        Shot("silence", "/alerts/silences/new"),
        Shot("alert-history", "/alerts/history"),
        Shot("reports", "/alerts/digests"),
        Shot("pack", "/alerts/rules/pack"),
        Shot("backtest", f"/alerts/rules/{rule_id}/backtest"),
        Shot("rule-new", "/alerts/rules/new"),
        Shot("alerts", "/alerts"),
        Shot("alert", f"/alerts/{alert_id}"),
        Shot("rules", "/alerts/rules"),
        Shot("rule", f"/alerts/rules/{rule_id}", click="7 days"),
        Shot("quality", "/quality"),
        Shot("setup", "/setup"),
        Shot("refused-query", "/traces?q=verison:v3"),
    ]


# Fragments, volumes, charts, trees and graphs that are on their way, in the part of the page that shows.
SETTLED = """() => {
    const waiting = ".htmx-request, .volume__waiting, .skeleton, [data-chart]:not(:has(.main-svg, .chart__note)), " +
        ".tree__rows:empty, #view-graph:not(:has(.gnode))";
    const inView = (element) => element.checkVisibility() && element.getBoundingClientRect().top < innerHeight;
    return document.readyState === "complete" && ![...document.querySelectorAll(waiting)].some(inView);
}"""


def settle(page: Page) -> None:
    """Wait until all that shows has loaded; then a moment for what is drawn without a mark in the document."""
    page.wait_for_timeout(300)  # fragments ask for themselves right after the page has loaded
    page.wait_for_function(SETTLED, timeout=SETTLE_TIMEOUT_MS)
    page.wait_for_timeout(500)


def take(browser: Browser, server: LiveServer, shots: list[Shot]) -> None:
    """Load each page once at each width, and take it in each theme: charts follow a change of theme."""
    for width, height in SIZES.items():
        context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
        context.set_default_timeout(SETTLE_TIMEOUT_MS)
        page = context.new_page()
        for shot in shots:
            page.emulate_media(color_scheme=SCHEMES[0])
            page.goto(server.url + shot.path)
            settle(page)
            if shot.click and width == max(SIZES):
                page.get_by_text(shot.click, exact=True).first.click()
                settle(page)
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                page.wait_for_timeout(200)  # charts are drawn again
                page.screenshot(path=IMAGES / f"{shot.name}-{width}-{scheme}.png")
            print(f"{shot.name} {width}", flush=True)
        context.close()


BEFORE_LOGIN = [Shot("login", "/login")]
WITHOUT_DATA = [
    Shot("empty", "/traces"),
    Shot("no-logs", "/logs"),
    Shot("channels", "/alerts/channels"),
    Shot("channel", "/alerts/channels/new"),
    Shot("not-found", f"/traces/{'0' * 31}1"),
]


def take_login(browser: Browser, data: Path) -> None:
    server = start_server(data, TRACESTORE_ADMIN_PASSWORD="only for this picture")
    try:
        take(browser, server, BEFORE_LOGIN)
    finally:
        server.stop()


def find_agent_shots(server: LiveServer) -> list[Shot]:
    """Pages of a coding agent's recording, which has log records, and of a project with rules."""
    agent = next(recording for recording in recordings() if recording.name == "claude-agent-sdk")
    replay(agent, server.otlp_url)
    for rule in MAPPING_RULES:
        call_api(server, "mapping/rules", rule)
    times = urllib.parse.urlencode({"start": START, "end": END})
    failed = wait_for_results(server, f"logs?q=event:*api_error&{times}")[0]
    wait_for_results(server, f"traces?q=trace:{failed['trace_id']}&{times}")
    return [
        Shot("logs", f"/logs?{times}"),
        Shot("agent-trace", f"/traces/{failed['trace_id']}"),
        Shot("mapping", "/setup/mapping"),
        Shot("privacy", "/privacy"),
    ]


def take_agent(browser: Browser, data: Path) -> None:
    server = start_server(data)
    try:
        take(browser, server, find_agent_shots(server))
    finally:
        server.stop()


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        take_login(browser, Path(folder) / "login")
        take_agent(browser, Path(folder) / "agent")
        server = start_server(Path(folder) / "data")
        try:
            take(browser, server, WITHOUT_DATA)
            send_demo(server)
            take(browser, server, find_shots(server))
        finally:
            browser.close()
            server.stop()
    shutil.copyfile(IMAGES / "trace-1440-light.png", IMAGES / "trace.png")


if __name__ == "__main__":
    main()
