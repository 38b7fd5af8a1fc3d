"""Pages are rendered without `collectstatic`: names of static files stay as they are."""

from __future__ import annotations

import pytest
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
