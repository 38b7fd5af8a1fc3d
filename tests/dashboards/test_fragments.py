"""Parts of pages: whoever opens the address of one in a browser sees a page, and scripts get the part."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.test import Client
from django.urls import get_resolver, resolve
from django.urls.resolvers import URLPattern, URLResolver

from tracestore.clickhouse.client import Store
from tracestore.clickhouse.errors import StoreUnavailable

pytestmark = pytest.mark.usefixtures("default_project")

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
IDS = {"str:trace_id": "a" * 32, "str:span_id": "b" * 16, "slug:slug": "overview", "int:index": "0"}
_TAG = re.compile(r"hx-get=\"\{% url \"([a-z-]+)\"")
# What scripts ask for, and templates by another way than a name.
_OTHERS = {
    "alert-badge", "compare-steps", "dashboard-panel", "dashboard-preview-panel", "span-detail", "span-markdown", "trace-tail",
    "trace-transcript",
}  # fmt: skip


def _find_loaded() -> list[str]:
    """Return the paths that templates load into their pages."""
    templates = (settings.ROOT / "templates").rglob("*.html")
    names = {name for path in templates for name in _TAG.findall(path.read_text())}
    names |= _OTHERS
    found = [_path_of(pattern) for pattern in _walk(get_resolver()) if pattern.name in names]
    assert len(found) >= len(names) > 30
    return sorted(path for path in found if "<" not in path)


def _walk(resolver: URLResolver) -> list[URLPattern]:
    found: list[URLPattern] = []
    for entry in resolver.url_patterns:
        found += _walk(entry) if isinstance(entry, URLResolver) else [entry]
    return found


def _path_of(pattern: URLPattern) -> str:
    path = "/" + str(pattern.pattern)
    for name, value in IDS.items():
        path = path.replace(f"<{name}>", value)
    return path


def test_browser_gets_a_whole_page_at_every_address_that_a_page_loads_parts_from(client: Client, store: Store) -> None:
    bare = []

    for path in _find_loaded():
        response = client.get(path, headers=BROWSER, follow=True)
        if "<!doctype html>" not in response.content.decode():
            bare.append(path)

    assert bare == []


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/quality/dead-letters", "/quality#dead-letters"),
        ("/setup/mapping/reread", "/setup/mapping#reread"),
        ("/why/answer?q=status%3Aerror&start=now-7d", "/why?q=status%3Aerror&start=now-7d"),
        ("/compare/traces/step?a=1&b=2&sa=3", "/compare/traces?a=1&b=2&sa=3"),
        ("/dashboards/cost/panels/3?start=now-7d", "/dashboards/cost?start=now-7d"),
        ("/traces/volume?q=a%26b", "/traces?q=a%26b"),
        (f"/traces/{'a' * 32}/raw?format=rows", f"/traces/{'a' * 32}?format=rows&view=raw"),
        (f"/traces/{'a' * 32}/spans/{'b' * 16}/history", f"/traces/{'a' * 32}?span={'b' * 16}"),
    ],
)
def test_page_of_a_part_restores_its_view(client: Client, store: Store, path: str, page: str) -> None:
    response = client.get(path, headers=BROWSER)

    assert (response.status_code, response.headers["Location"]) == (302, page)
    assert {"Accept", "HX-Request"} <= {name.strip() for name in response.headers["Vary"].split(",")}
    assert resolve(page.partition("?")[0].partition("#")[0])


@pytest.mark.parametrize("headers", [{"Accept": "*/*"}, BROWSER | {"HX-Request": "true"}])
def test_scripts_get_the_part(client: Client, store: Store, headers: dict[str, str]) -> None:
    response = client.get("/quality/dead-letters", headers=headers)

    assert response.content.decode().lstrip().startswith("<section")


def test_part_that_the_store_refuses_can_be_asked_for_again(
    client: Client, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StoreUnavailable("ClickHouse is away.")

    monkeypatch.setattr(Store, "query_rows", refuse)
    refused = client.get("/traces/volume?q=status:error", headers={"HX-Request": "true"}).content.decode()
    wrong = client.get("/traces/volume?q=satus:error", headers={"HX-Request": "true"}).content.decode()

    assert "ClickHouse is away." in refused
    assert 'hx-get="/traces/volume?q=status:error"' in refused
    assert "satus" in wrong
    assert "Try again" not in wrong
