from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from alerts.channels import check_target, describe_target
from alerts.channels.apprise_url import read_failure
from alerts.channels.base import refusal


@pytest.mark.parametrize(
    "target", ["ftp://host/x", "host/x", "http://", "http://host:99999/", "javascript:alert(1)", "file:///etc/passwd"]
)
def test_webhook_takes_http_and_https_addresses_only(target: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        check_target("webhook", target)


def test_webhook_secrets_are_not_shown() -> None:
    shown = describe_target("webhook", "https://user:secret@hooks.example.com:8443/services/T0/B0/xyz?key=1")

    assert shown == "https://hooks.example.com:8443/…"


def test_mail_without_server_is_refused_with_the_setting_to_set(settings: Any) -> None:
    settings.SMTP_URL = ""

    with pytest.raises(ValueError, match="TRACESTORE_SMTP_URL"):
        check_target("email", "ann@example.com")


def test_bad_mail_address_is_named(settings: Any) -> None:
    settings.SMTP_URL = "smtp://127.0.0.1"

    with pytest.raises(ValueError, match="'bob' is not an e-mail address"):
        check_target("email", "ann@example.com, bob")


def test_apprise_url_is_checked_and_its_tokens_are_hidden() -> None:
    check_target("apprise", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#oncall")

    shown = describe_target("apprise", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#oncall")

    assert shown.startswith("slack://")
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in shown


@pytest.mark.parametrize(
    ("target", "shown"),
    [("jsons://user:secret@hooks.example.com:8443/services/secret?x=secret", "jsons://user:****@hooks.example.com:8443/…"),
     ("forms://hooks.example.com/secret", "forms://hooks.example.com/…"), ("ntfys://secret", "ntfys://…"),
     ("mailtos://user:secret@example.com", "mailtos://user:****@example.com/")],
)  # fmt: skip
def test_apprise_url_is_shown_without_path_topic_and_password(target: str, shown: str) -> None:
    assert describe_target("apprise", target) == shown


@pytest.mark.parametrize("target", ["nonsense", "nosuchservice://host", "syslog://", "dbus://", "json://169.254.169.254/latest"])
def test_unknown_or_local_apprise_url_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match=r"Apprise"):
        check_target("apprise", target)


def test_apprise_url_that_reads_a_file_of_this_machine_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    template.write_text('{"content": "secret"}')
    target = f"discord://{'1' * 20}/{'a' * 64}/"
    check_target("apprise", target)

    for written in (f"{template}", f"file://{template}"):
        with pytest.raises(ValueError, match=r"Apprise"):
            check_target("apprise", f"{target}?template={quote(written)}")


@pytest.mark.parametrize(
    ("lines", "permanent"),
    [(["Failed to send JSON POST notification: Page not found., error=404."], True), (["Failed to send, error=429."], False),
     (["Socket Exception: (535, b'5.7.8 bad credentials')"], True), (["Socket Exception: (421, b'busy')"], False),
     (["Socket Exception: [Errno 111] Connection refused"], False), ([], False)],
)  # fmt: skip
def test_failure_is_permanent_only_when_trying_again_cannot_help(lines: list[str], permanent: bool) -> None:
    error = read_failure(lines)

    assert error.permanent is permanent
    assert str(error)


def test_statuses_that_blame_the_request_are_permanent() -> None:
    """RFC 9110, 15: another attempt of the same request would be answered the same. Not those of time, load or a gateway."""
    permanent = {301, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 421, 422, 501}

    assert {status for status in range(300, 600) if refusal(status).permanent} == permanent
