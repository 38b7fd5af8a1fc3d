from __future__ import annotations

import time
from html import unescape

import pytest
from django.test import Client
from django.test.utils import override_script_prefix
from pytest_django import Settings

from tests.factories import insert_traces
from tracestore.clickhouse.client import Store
from tracestore.models import Project
from tracestore.timerange import DAY_NS

pytestmark = pytest.mark.usefixtures("default_project")


def test_instance_without_traces_shows_the_guide_with_its_own_address(client: Client, store: Store, settings: Settings) -> None:
    settings.OTLP_HTTP_PORT, settings.OTLP_GRPC_PORT = 14318, 14317

    page = unescape(client.get("/traces", headers={"host": "localhost:8123"}).content.decode())

    assert "Send the first trace" in page
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:14318" in page
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:14317" in page
    assert "curl http://localhost:8123/v1/traces" in page
    assert "YOUR_KEY" not in page


def test_guide_names_the_key_where_one_is_required(client: Client, store: Store, settings: Settings) -> None:
    settings.KEY_REQUIRED = True

    page = unescape(client.get("/setup").content.decode())

    assert "OTEL_EXPORTER_OTLP_HEADERS=x-api-key=YOUR_KEY" in page
    assert '"x-api-key": "YOUR_KEY"' in page
    assert "-H 'x-api-key: YOUR_KEY'" in page


@pytest.mark.parametrize(("key_required", "root"), [(False, "/p/shop"), (True, "")])
def test_guide_of_a_project_names_its_address_or_asks_for_its_key(
    client: Client, store: Store, settings: Settings, key_required: bool, root: str
) -> None:
    settings.KEY_REQUIRED = key_required
    Project.objects.create(slug="shop", name="Shop")

    with override_script_prefix("/p/shop/"):
        page = unescape(client.get("/setup", headers={"host": "localhost:8123"}, SCRIPT_NAME="/p/shop").content.decode())

    assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:{settings.OTLP_HTTP_PORT}{root}\n" in page
    assert f"curl http://localhost:8123{root}/v1/traces" in page
    assert ("YOUR_KEY" in page) == key_required
    assert ('<a href="/p/shop/setup/keys">make one</a>' in page) == key_required
    assert ("what comes over gRPC belongs to the default project" in page) != key_required


def test_guide_waits_until_the_first_trace_and_then_moves_on(client: Client, store: Store) -> None:
    before = client.get("/setup/arrived")
    insert_traces(store)
    after = client.get("/setup/arrived")

    assert before.status_code == 204
    assert after.headers["HX-Redirect"] == "/traces?arrived=1"


def test_first_trace_of_last_week_is_within_the_range_that_opens(client: Client, store: Store) -> None:
    insert_traces(store, {"start_ns": time.time_ns() - 6 * DAY_NS})

    assert client.get("/setup/arrived").headers["HX-Redirect"] == "/traces?arrived=1&start=now-30d"


def test_guide_with_traces_does_not_wait(client: Client, store: Store) -> None:
    insert_traces(store)

    page = client.get("/setup").content.decode()

    assert "Traces have arrived" in page
    assert "setup/arrived" not in page


@pytest.mark.parametrize("path", ["/setup", "/traces"])
def test_guide_stands_under_one_heading(client: Client, store: Store, path: str) -> None:
    page = client.get(path).content.decode()

    assert page.count("<h1") == 1
    assert ">Send the first trace</h1>" in page


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/setup", "Connect"),
        ("/setup/keys", "Keys"),
        ("/setup/mapping", "Attribute mapping"),
        ("/privacy", "Privacy"),
        ("/setup/projects", "Projects"),
    ],
)
def test_pages_of_setup_have_the_same_tabs(client: Client, store: Store, path: str, name: str) -> None:
    head = client.get(path).content.decode().partition('<header class="page__head">')[2].partition("</header>")[0]

    assert '<nav class="page-tabs" aria-label="Setup">' in head
    assert f'aria-current="page">{name}</a>' in head
