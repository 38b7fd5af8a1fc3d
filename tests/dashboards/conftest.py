"""Pages are rendered without `collectstatic`: names of static files stay as they are."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tracestore.models import Project


@pytest.fixture(autouse=True)
def plain_static_files(settings: Settings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def default_project(db: None) -> Project:
    """The project that every page shows, as a start of the server makes it."""
    return Project.objects.get_or_create(pk=1, defaults={"slug": "default", "name": "Default"})[0]


@pytest.fixture
def ada(db: None, settings: Settings) -> Client:
    return _log_in("ada", settings)


@pytest.fixture
def bob(db: None, settings: Settings) -> Client:
    return _log_in("bob", settings)


def _log_in(name: str, settings: Settings) -> Client:
    settings.LOGIN_REQUIRED = True
    client = Client()
    client.force_login(User.objects.create_user(name))
    return client
