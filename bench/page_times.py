"""How fast and heavy every page is over 20 million stored spans: `python -m bench.page_times [--traces N] [--json FILE]`.

Shows what bench/stored.py wrote in a private instance. For each page: milliseconds of the server until the HTML is complete (the
first time, and the median of further ones), bytes that a browser with an empty cache transfers (scripts of charts apart), and
milliseconds from the click until nothing on the page is loading any more, in headless Chromium with what is static in its cache.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Request, sync_playwright

from bench.stored import END_NS, RANGES, SENTENCE, Example, cache_folder, open_stored
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.live import start_server

if TYPE_CHECKING:
    from playwright.sync_api import Page

_RUNS = 5
SERVER_MS, WEIGHT_BYTES, LIST_MS = 200, 300_000, 500
_CHARTS = "plotly"
_NAVIGATION = re.compile(r'<nav class="topbar__nav".*?</nav>', re.S)
# What stands where something is still to come; below the fold it waits until it is scrolled to.
_SETTLED = """() => {
    const waiting = ".htmx-request, .volume__waiting, .skeleton, [data-chart]:not(:has(.main-svg, .chart__note))";
    const inView = (element) => element.checkVisibility() && element.getBoundingClientRect().top < innerHeight;
    return document.readyState === "complete" && ![...document.querySelectorAll(waiting)].some(inView);
}"""


@dataclass(frozen=True)
class PageTimes:
    """`weight_bytes` as transferred, compressed where the server does so; `complete_ms` is of a warm load."""

    name: str
    first_ms: float
    server_ms: float
    html_bytes: int
    weight_bytes: int
    complete_ms: float
    ok: bool


def find_pages(base_url: str, example: Example) -> dict[str, str]:
    """Return name -> path of every page of the navigation, over a day, and of those that are about one thing."""
    html = _fetch(base_url + "/traces")
    navigation = _NAVIGATION.search(html)
    assert navigation is not None
    times = {name: f"start={time_range.start_ns}&end={time_range.end_ns}" for name, time_range in RANGES.items()}
    trace = f"/traces/{example.trace_id}"
    pages = {path: f"{path}?{times['1 day']}" for path in re.findall(r'<a href="(/[^"#?]*)', navigation[0])}
    return pages | {
        "/traces, ten days": f"/traces?{times['10 days']}",
        "/traces, the sentence": f"/traces?q={SENTENCE.replace(' ', '+')}&{times['10 days']}",
        "/dashboards/overview, ten days": f"/dashboards/overview?{times['10 days']}",
        "trace": trace,
        "trace, at a step": f"{trace}?span={example.span_id}",
        "/alerts/rules": "/alerts/rules",
        "/alerts/rules/new": "/alerts/rules/new",
        "/alerts/channels": "/alerts/channels",
        "/setup/mapping": "/setup/mapping",
        "/privacy": "/privacy",
        "/login": "/login",
    }


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def _server_ms(url: str) -> tuple[float, int]:
    started = time.perf_counter()
    html = _fetch(url)
    return (time.perf_counter() - started) * 1000, len(html)


def measure(browser: Browser, name: str, url: str) -> PageTimes:
    first_ms, html_bytes = _server_ms(url)
    server_ms = statistics.median(_server_ms(url)[0] for _ in range(_RUNS))
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        requests: list[Request] = []
        page.on("requestfinished", lambda request: requests.append(request))
        _complete_ms(page, url)
        weight_bytes = sum(_transferred_bytes(request) for request in requests)
        complete_ms = statistics.median(_complete_ms(page, url) for _ in range(_RUNS))
    limit_ms = LIST_MS if name.startswith("/traces") else float("inf")
    ok = server_ms <= SERVER_MS and weight_bytes <= WEIGHT_BYTES and complete_ms <= limit_ms
    return PageTimes(name, first_ms, server_ms, html_bytes, weight_bytes, complete_ms, ok)


def _transferred_bytes(request: Request) -> int:
    if _CHARTS in urlsplit(request.url).path:
        return 0
    sizes = request.sizes()
    return sizes["responseBodySize"] + sizes["responseHeadersSize"]


def _complete_ms(page: Page, url: str) -> float:
    """Return milliseconds from the start of the navigation until the page has everything that it shows at first."""
    page.goto(url, wait_until="commit")
    page.wait_for_function(_SETTLED, polling=5, timeout=60_000)
    return float(page.evaluate("performance.now()"))


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=1_600_000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    folder = cache_folder(arguments.traces)
    os.environ["TRACESTORE_DATA"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tracestore.settings"
    data = open_stored(arguments.traces)
    data.store.close()  # the instance's process is the next that may open the folder
    _skip_jobs()
    server = start_server(folder)
    figures = []
    print(f"{'page':<28}{'first ms':>9}{'server ms':>10}{'HTML kB':>9}{'weight kB':>10}{'complete ms':>12}")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
            for name, path in find_pages(server.url, data.example).items():
                figure = measure(browser, name, server.url + path)
                figures.append(figure)
                print(
                    f"{name:<28}{figure.first_ms:>9.0f}{figure.server_ms:>10.0f}{figure.html_bytes / 1000:>9.0f}"
                    f"{figure.weight_bytes / 1000:>10.0f}{figure.complete_ms:>12.0f}  {'ok' if figure.ok else 'TOO MUCH'}",
                    flush=True,
                )
            browser.close()
    finally:
        server.stop()
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    sys.exit(not all(figure.ok for figure in figures))


def _skip_jobs() -> None:
    """The rollups are there: without this the job would compute ten days of them anew while pages are measured."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    from tracestore.models import JobCursor

    call_command("migrate", interactive=False, verbosity=0)
    JobCursor.objects.update_or_create(job="roll up", source="", defaults={"position": max(time.time_ns(), END_NS)})
    connections.close_all()


if __name__ == "__main__":
    main()
