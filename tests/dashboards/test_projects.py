"""The page of projects: making one, and the ways into each."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.test import Client
from django.test.utils import override_script_prefix
from pytest_django import Settings

from tracestore import tasks
from tracestore.clickhouse.client import Store
from tracestore.keys import make_key
from tracestore.models import Project, Removal
from tracestore.projects import find_retention_days

pytestmark = pytest.mark.usefixtures("default_project")


def make(client: Client, name: str, slug: str = "") -> tuple[int, str]:
    answer = client.post("/setup/projects", {"name": name, "slug": slug})
    return answer.status_code, answer.headers.get("Location", "") or unescape(answer.content.decode())


@pytest.mark.parametrize(
    ("name", "slug", "made"),
    [("Shop", "", "shop"), ("Shöp & Co", "", "shop-co"), ("Shop", "Shop_EU-1", "Shop_EU-1"), ("小店", "xiaodian", "xiaodian")],
)
def test_new_project_leads_to_its_own_guide(client: Client, name: str, slug: str, made: str) -> None:
    assert make(client, name, slug) == (302, f"/p/{made}/setup")
    assert Project.objects.get(slug=made).name == name


@pytest.mark.parametrize(
    ("name", "slug", "said"),
    [
        ("", "shop", "Give the project a name"),
        ("Shop", "my shop", "A slug is up to 64 letters (a to z), digits, - and _, without spaces."),
        ("Shop", "a/b", "A slug is up to 64 letters"),
        ("Shop", "x" * 65, "at most 64"),
        ("小店", "", "The name has none of them: choose a slug."),
        ("Other", "TAKEN", "The project 'Taken' is at /p/taken/ already. Choose another slug."),
        ("Other", "default", "The project 'Default' is at /p/default/ already."),
        ("x" * 129, "shop", "at most 128"),
    ],
)
def test_project_that_cannot_be_made_is_refused_with_a_sentence(client: Client, name: str, slug: str, said: str) -> None:
    Project.objects.create(slug="taken", name="Taken")

    status, page = make(client, name, slug)

    assert (status, Project.objects.count()) == (422, 2)
    assert said in page
    assert f'value="{name}"' in page


@pytest.mark.parametrize("root", ["", "/p/shop"])
def test_list_leads_into_each_project_from_any_of_them(client: Client, root: str) -> None:
    shop = Project.objects.create(slug="shop", name="<b>Shop</b>")
    for name in ("ci", "agents"):
        make_key(shop, name, by="somebody")

    with override_script_prefix(f"{root}/"):
        page = client.get("/setup/projects", SCRIPT_NAME=root).content.decode().partition("All projects")[2]

    for address in ("/traces", "/setup/keys", "/setup", "/p/shop/traces", "/p/shop/setup/keys", "/p/shop/setup"):
        assert f'href="{address}"' in page
    assert re.findall('<td data-label="Keys" class="num">(.+?)</td>', page) == ["0", "2"]
    assert 'aria-label="Keys of &lt;b&gt;Shop&lt;/b&gt;"' in page
    assert page.count(">open</span>") == 1
    assert "<b>Shop" not in page


def keep(client: Client, project: Project, days: str) -> tuple[int, str]:
    answer = client.post(f"/setup/projects/{project.pk}/retention", {"days": days})
    project.refresh_from_db()
    return answer.status_code, unescape(answer.content.decode())


def test_project_keeps_fewer_days_until_the_number_is_taken_out(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shop = Project.objects.create(slug="shop", name="Shop")

    saved = keep(client, shop, "30")[0], find_retention_days()
    page = client.get("/setup/projects").content.decode()
    taken_out = keep(client, shop, "")[0], find_retention_days()

    assert saved == (302, {shop.pk: 30})
    assert 'name="days" value="30"' in page
    assert taken_out == (302, {})
    assert caplog.messages == [
        "projects: 'browser' has the project shop keep 30 days",
        "projects: 'browser' has the project shop keep what the server keeps",
    ]


@pytest.mark.parametrize(
    ("days", "said"),
    [
        ("0", "A project keeps 1 to 36,500 days"),
        ("-3", "A project keeps 1 to 36,500 days"),
        ("99999", "A project keeps 1 to 36,500 days"),
        ("a week", "Give a whole number of days, or none."),
        ("1.5", "Give a whole number of days, or none."),
        ("91", "The server keeps 90 days of every project (TRACESTORE_RETENTION_DAYS): choose fewer."),
    ],
)
def test_days_that_cannot_be_kept_are_refused_with_a_sentence(client: Client, settings: Settings, days: str, said: str) -> None:
    settings.RETENTION_DAYS = 90
    shop = Project.objects.create(slug="shop", name="Shop")

    status, page = keep(client, shop, days)

    assert (status, shop.retention_days) == (422, None)
    assert said in page
    assert f'name="days" value="{days}"' in page
    assert page.count('aria-invalid="true"') == 1
    assert '<form class="card" method="post" action="/setup/projects"' in page  # not where the days were sent to


def test_project_is_renamed_and_keeps_its_address(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    shop = Project.objects.create(slug="shop", name="Shop")

    answer = client.post(f"/setup/projects/{shop.pk}", {"name": "Shop EU"})
    page = client.get("/setup/projects").content.decode()

    shop.refresh_from_db()
    assert (answer.status_code, shop.name, shop.slug) == (302, "Shop EU", "shop")
    assert ">Shop EU</bdi>" in page
    assert caplog.messages == ["projects: 'browser' renamed the project shop: 'Shop EU' was 'Shop'"]


@pytest.mark.parametrize(("name", "said"), [("", "A project has a name, such as Shop."), ("x" * 129, "at most 128")])
def test_name_that_is_none_is_refused(client: Client, name: str, said: str) -> None:
    shop = Project.objects.create(slug="shop", name="Shop")

    answer = client.post(f"/setup/projects/{shop.pk}", {"name": name})

    shop.refresh_from_db()
    assert (answer.status_code, shop.name) == (422, "Shop")
    assert said in answer.content.decode()


def test_page_of_a_project_counts_what_goes_with_it(client: Client, store: Store) -> None:
    shop = Project.objects.create(slug="shop", name="Shop")
    for name in ("ci", "agents"):
        make_key(shop, name, by="somebody")
    spans = "toDateTime(1789500000), toFixedString(toString(number), 8) FROM numbers(1200)"
    store.command(f"INSERT INTO spans (project_id, start_time, span_id) SELECT {shop.pk}, {spans}")

    page = client.get(f"/setup/projects/{shop.pk}").content.decode()

    counts = dict(re.findall(r'<li><strong class="num">(.+?)</strong> (.+?)</li>', page))
    assert counts.items() >= {"1,200": "spans", "2": "keys"}.items()


@pytest.mark.parametrize("root", ["", "/p/shop"])
def test_deleted_project_is_told_with_its_progress_on_the_list_of_the_default_one(client: Client, root: str) -> None:
    shop = Project.objects.create(slug="shop", name="Shop")

    with override_script_prefix(f"{root}/"):
        answer = client.post(f"/setup/projects/{shop.pk}/delete", {"slug": "shop"}, SCRIPT_NAME=root)
    Removal.objects.update(rows_total=1000, rows_left=400)
    page = client.get("/setup/projects").content.decode()

    assert (answer.status_code, answer.headers["Location"]) == (302, "/setup/projects")
    assert "400 of 1,000 left" in page
    assert client.get("/traces", SCRIPT_NAME="/p/shop").status_code == 404


def test_wrong_slug_and_the_default_project_are_refused(client: Client, default_project: Project) -> None:
    shop = Project.objects.create(slug="shop", name="Shop")

    wrong = client.post(f"/setup/projects/{shop.pk}/delete", {"slug": "Shop"})
    default = client.post(f"/setup/projects/{default_project.pk}/delete", {"slug": "default"})

    assert (wrong.status_code, default.status_code, Project.objects.count()) == (422, 422, 2)
    assert "Type shop to delete this project: nothing was deleted." in unescape(wrong.content.decode())
    assert "cannot be deleted" in default.content.decode()


def test_job_deletes_by_the_days_of_projects(store: Store, default_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[dict[int, int]] = []
    default_project.retention_days = 7
    default_project.save()
    monkeypatch.setattr(tasks._retention, "tend", lambda *_, by_project, **__: looks.append(by_project))

    tasks.delete_old()

    assert looks == [{default_project.pk: 7}]
