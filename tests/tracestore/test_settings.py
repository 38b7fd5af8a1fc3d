"""The environment: every bad value stops the start with a sentence, and nothing is open by accident."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

from tests.live import ROOT, start_server, wait_until_ready
from tracestore.environment import SETTINGS, read_environment
from tracestore.settings import is_loopback

BAD_VALUES = {
    "TRACESTORE_PORT": ["eight", "-1", "65536", "80.0", "9" * 5000, "８０００"],
    "TRACESTORE_OTLP_HTTP_PORT": ["x", "99999"],
    "TRACESTORE_DELIVERY_TIMEOUT_S": ["soon", "0"],
    "TRACESTORE_HEARTBEAT_URL": ["hc-ping.com/x", "ftp://a/b"],
    "TRACESTORE_OTLP_GRPC_PORT": ["x", "-4317"],
    "TRACESTORE_OTLP_CORS_ORIGINS": [
        "example.com",
        "https://a/b",
        "https://a/",
        "https://u@a",
        "ftp://a",
        "https://",
        "*, b",
        "http://a:x",
    ],
    "TRACESTORE_WORKER_PORT": ["0", "x", "99999"],
    "TRACESTORE_BASE_URL": ["localhost:8000", "ftp://x", "http://[::1", "http://host:port", "http://", "https:example.com"],
    "CLICKHOUSE_URL": ["localhost", "clickhouse://h", "tcp://h:9000", "http://h:99999", "http://"],
    "DATABASE_URL": ["mysql://h/db", "postgres://u:p@h:port/db", "data.sqlite3", "sqlite:data.sqlite3", "postgres://h"],
    "CELERY_BROKER_URL": ["sqs://", "redis", "kafka://h"],
    "TRACESTORE_SMTP_URL": [
        "mail.example.com",
        "http://h",
        "smtp://",
        "smtp://h?tls=maybe",
        "smtps://h?tls=starttls",
        "smtp://h?from=nobody",
        "smtp://h?form=a@b.example",
    ],
    "TRACESTORE_MAX_BODY_BYTES": ["0", "64MB", "-5", str(2**31)],
    "TRACESTORE_SPOOL_MAX_BYTES": ["0", "1e9"],
    "TRACESTORE_QUERY_TIMEOUT_S": ["0", "soon", "86401"],
    "TRACESTORE_QUERY_MEMORY_BYTES": ["0", "lots"],
    "TRACESTORE_RUNNING_TIMEOUT_S": ["0", "10m"],
    "TRACESTORE_RETENTION_DAYS": ["-1", "30d", "36501"],
    "TRACESTORE_ALERT_INTERVAL_S": ["0", "-15"],
    "TRACESTORE_LOG_LEVEL": ["loud", "0"],
}
TEXTS = {"TRACESTORE_DATA", "TRACESTORE_HOST", "TRACESTORE_ADMIN_PASSWORD", "TRACESTORE_API_KEY", "TRACESTORE_SECRET_KEY"}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD_VALUES.items() for value in values])
def test_bad_value_is_refused_with_a_sentence_that_names_the_setting(name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_environment({name: value})

    sentence = str(refusal.value)
    assert sentence.startswith(name)
    assert " must be " in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 6000


def test_every_setting_that_can_be_wrong_has_a_bad_value_here() -> None:
    assert {setting.name for setting in SETTINGS} == set(BAD_VALUES) | TEXTS


def test_exporters_find_their_default_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    ports = read_environment({})

    assert HttpExporter()._endpoint == f"http://localhost:{ports['TRACESTORE_OTLP_HTTP_PORT']}/v1/traces"
    assert GrpcExporter()._endpoint == f"localhost:{ports['TRACESTORE_OTLP_GRPC_PORT']}"


@pytest.mark.parametrize("name", ["CLICKHOUSE_URL", "DATABASE_URL", "CELERY_BROKER_URL", "TRACESTORE_SMTP_URL"])
def test_refusal_does_not_repeat_a_password(name: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        read_environment({name: "ftp://user:hunter2@host"})

    assert "hunter2" not in str(refusal.value)


def test_empty_value_means_the_default() -> None:
    empty = {setting.name: " " for setting in SETTINGS}

    assert read_environment(empty) == read_environment({})


def test_origins_are_a_list() -> None:
    values = read_environment({"TRACESTORE_OTLP_CORS_ORIGINS": " https://App.example.com ,http://localhost:3000,*"})

    assert values["TRACESTORE_OTLP_CORS_ORIGINS"] == ("https://app.example.com", "http://localhost:3000", "*")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("", False), ("localhost.example.com", False), ("box", False),
    ],
)  # fmt: skip
def test_only_loopback_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


ASK = "from django.conf import settings; print(settings.LOGIN_REQUIRED, settings.KEY_REQUIRED)"


def start(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of their own."""
    return run(tmp_path, "shell", "--no-imports", "-c", ASK, **environment)


def run(tmp_path: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("TRACESTORE_", "CLICKHOUSE_", "DATABASE_"))}
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=clean | {"TRACESTORE_DATA": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_open_address_without_password_or_key_refuses_to_start(tmp_path: Path) -> None:
    result = start(tmp_path, TRACESTORE_HOST="0.0.0.0")

    assert result.returncode != 0
    assert "set TRACESTORE_ADMIN_PASSWORD or TRACESTORE_API_KEY first" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["TRACESTORE_ADMIN_PASSWORD", "TRACESTORE_API_KEY"])
def test_open_address_with_either_demands_login_and_key(tmp_path: Path, name: str) -> None:
    result = start(tmp_path, TRACESTORE_HOST="0.0.0.0", **{name: "long enough"})

    assert (result.returncode, result.stdout.split()) == (0, ["True", "True"]), result.stderr


def test_password_on_loopback_closes_ingest_too(tmp_path: Path) -> None:
    assert start(tmp_path, TRACESTORE_ADMIN_PASSWORD="long enough").stdout.split() == ["True", "True"]


def test_loopback_demands_nothing(tmp_path: Path) -> None:
    assert start(tmp_path).stdout.split() == ["False", "False"]


def test_secret_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    start(tmp_path)
    first = (tmp_path / "secret_key").read_text()
    start(tmp_path)

    assert (tmp_path / "secret_key").read_text() == first
    assert len(first) > 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


def test_data_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for folder in (tmp_path / "file" / "data", tmp_path / "file", Path("/proc/nothing")):
        for key in ("", "given"):
            result = start(tmp_path, TRACESTORE_DATA=str(folder), TRACESTORE_SECRET_KEY=key)

            assert result.returncode != 0
            assert f"TRACESTORE_DATA: cannot write to the folder {folder}" in result.stderr
            assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "http://localhost:8000 []"),
        ({"TRACESTORE_HOST": "::1"}, "http://localhost:8000 []"),
        ({"TRACESTORE_HOST": "127.0.0.2"}, "http://127.0.0.2:8000 []"),
        ({"TRACESTORE_HOST": "2001:db8::1", "TRACESTORE_API_KEY": "key"}, "http://[2001:db8::1]:8000 []"),
        ({"TRACESTORE_BASE_URL": "https://t.example/path/"}, "https://t.example/path ['https://t.example']"),
    ],
)
def test_address_that_people_use_follows_from_the_one_that_is_bound(
    tmp_path: Path, environment: dict[str, str], expected: str
) -> None:
    ask = "from django.conf import settings; print(settings.BASE_URL, settings.CSRF_TRUSTED_ORIGINS)"

    result = run(tmp_path, "shell", "--no-imports", "-c", ask, **environment)

    assert result.stdout.strip() == expected, result.stderr


def test_every_loopback_address_is_served_under_its_own_name(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data", TRACESTORE_HOST="127.0.0.2", wait=False)
    server.url = server.url.replace("127.0.0.1", "127.0.0.2")
    try:
        wait_until_ready(server)
        with urllib.request.urlopen(server.url + "/traces", timeout=90) as answer:
            assert answer.status == 200
    finally:
        server.kill()
    assert f"Tracestore is ready: {server.url}" in server.log.read_text()


def test_empty_broker_setting_is_polled_like_the_default(tmp_path: Path) -> None:
    ask = "from tracestore.celery import app; print(app.conf.broker_transport_options)"

    result = run(tmp_path, "shell", "--no-imports", "-c", ask, CELERY_BROKER_URL="")

    assert result.stdout.strip() == "{'polling_interval': 0.1}", result.stderr


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"TRACESTORE_PORT": "8999", "TRACESTORE_OTLP_HTTP_PORT": "8999"}, "TRACESTORE_OTLP_HTTP_PORT are both 8999"),
        ({"TRACESTORE_PORT": "8999", "TRACESTORE_OTLP_GRPC_PORT": "8999"}, "TRACESTORE_OTLP_GRPC_PORT are both 8999"),
        ({"TRACESTORE_HOST": "host.invalid", "TRACESTORE_API_KEY": "key"}, "TRACESTORE_HOST is 'host.invalid'"),
        ({"TRACESTORE_HOST": "192.0.2.1", "TRACESTORE_API_KEY": "key"}, "TRACESTORE_HOST is '192.0.2.1'"),
        ({"DATABASE_URL": "postgres://user:hunter2@127.0.0.1:1/db"}, "cannot use the relational database (DATABASE_URL)"),
    ],
)
def test_setting_that_cannot_work_stops_the_start_with_a_sentence(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    ports = {"TRACESTORE_PORT": "0", "TRACESTORE_OTLP_HTTP_PORT": "0", "TRACESTORE_OTLP_GRPC_PORT": "0"}

    result = run(tmp_path, "up", **ports | environment)

    assert result.returncode == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr


def test_misspelt_setting_is_named_at_the_start(tmp_path: Path) -> None:
    wrong = {"TRACESTORE_RETENTION_DAY": "30", "TRACESTORE_ZZ": "1"}

    result = run(tmp_path, "up", TRACESTORE_HOST="host.invalid", TRACESTORE_API_KEY="key", **wrong)

    said = [line.partition("server: ")[2] for line in result.stderr.splitlines() if " WARNING " in line]
    assert said == [
        "there is no setting TRACESTORE_RETENTION_DAY: did you mean TRACESTORE_RETENTION_DAYS?",
        "there is no setting TRACESTORE_ZZ: docs/settings.md lists them",
    ]


@pytest.mark.parametrize("command", [("create_key", "ci"), ("verdict", "v3", "v2")])
def test_command_before_the_first_start_says_what_prepares_the_database(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = run(tmp_path, *command)

    assert result.returncode == 2, result.stderr
    assert "`manage.py up` prepares it" in result.stderr
    assert "Traceback" not in result.stderr
