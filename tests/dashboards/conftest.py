"""Two people who are logged in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings


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
