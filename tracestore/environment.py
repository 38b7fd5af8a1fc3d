"""The settings that come from the environment: name, type, unit, default and meaning, and the reader that refuses bad values.

docs/settings.md shows the same table; a test compares the two. Pure: settings.py reads the process's environment through this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email


@dataclass(frozen=True)
class Setting:
    """One environment variable. `parse` turns its text into a value or raises ValueError with the expectation."""

    name: str
    parse: Callable[[str], Any]
    type: str
    unit: str  # "" where the type has none
    default: str
    help: str


def _text(value: str) -> str:
    return value


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > 18 or not low <= int(value) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(value)

    return parse


def _url(*schemes: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        try:
            parts = urlsplit(value)
            fits = value.startswith(tuple(f"{scheme}://" for scheme in schemes)) and (parts.port is None or parts.port > 0)
        except ValueError:  # brackets without an address, or a port that is no number up to 65535
            fits = False
        if value and not fits:
            raise ValueError("empty or a URL that starts with " + " or ".join(f"{scheme}://" for scheme in schemes))
        return value

    return parse


def _server_url(*schemes: str) -> Callable[[str], str]:
    """Read a URL that is of no use without the name of a host."""
    parse_url = _url(*schemes)

    def parse(value: str) -> str:
        if parse_url(value) and not urlsplit(value).hostname:
            raise ValueError("empty or a URL that names a host, such as " + f"{schemes[0]}://host")
        return value

    return parse


def _database_url(value: str) -> str:
    parts = urlsplit(_url("sqlite", "postgres", "postgresql")(value))
    if value and not parts.path.strip("/"):
        raise ValueError("empty or a URL that names a database, such as postgres://user:password@host:5432/database")
    return value


def _smtp_url(value: str) -> str:
    options = parse_qs(urlsplit(_server_url("smtp", "smtps")(value)).query, keep_blank_values=True)
    if unknown := options.keys() - {"from", "tls"}:
        raise ValueError(f"a URL whose only options are from and tls, not {min(unknown)[:40]!r}")
    if options.get("tls", ["starttls"]) != ["starttls"] or ("tls" in options and value.startswith("smtps:")):
        raise ValueError("smtps:// for TLS, smtp:// with tls=starttls for STARTTLS, or smtp:// without tls for neither")
    for sender in options.get("from", []):
        try:
            validate_email(sender)
        except ValidationError:
            raise ValueError("a URL whose from= is an e-mail address, such as from=alerts@example.com") from None
    return value


def _port_or_none(value: str) -> int | None:
    return _whole_number(1, 65535)(value) if value else None


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(origin.strip().lower() for origin in value.split(",") if origin.strip())
    for origin in origins:
        try:
            parts = urlsplit(origin)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and origin == f"{parts.scheme}://{parts.netloc}"
            fits = fits and "@" not in parts.netloc and parts.port != 0
        except ValueError:
            fits = False
        if origin != "*" and not fits:
            raise ValueError("`*` or origins such as https://app.example.com, without a path, separated by commas")
    return origins


def _log_level(value: str) -> str:
    levels = ("debug", "info", "warning", "error")
    if value.lower() not in levels:
        raise ValueError("one of " + ", ".join(levels))
    return value.upper()


_PORT = _whole_number(0, 65535)
_SECONDS = _whole_number(1, 86_400)
_BYTES = _whole_number(1, 2**50)

SETTINGS = (
    Setting("TRACESTORE_DATA", _text, "path", "", "./data", "Where the embedded databases, the spool and the secret key live."),
    Setting(
        "TRACESTORE_HOST",
        _text,
        "address",
        "",
        "127.0.0.1",
        "Address to bind. Anything but loopback needs a password or a key (below).",
    ),
    Setting("TRACESTORE_PORT", _PORT, "port", "", "8000", "UI, REST API and OTLP/HTTP."),
    Setting("TRACESTORE_OTLP_HTTP_PORT", _PORT, "port", "", "4318", "OTLP/HTTP on the port that exporters expect."),
    Setting("TRACESTORE_OTLP_GRPC_PORT", _PORT, "port", "", "4317", "OTLP/gRPC on the port that exporters expect."),
    Setting(
        "TRACESTORE_OTLP_CORS_ORIGINS",
        _origins,
        "origins",
        "",
        "",
        "Web pages that may send OTLP/HTTP: `https://app.example.com`, more after commas, or `*` for all. Default: none.",
    ),
    Setting(
        "TRACESTORE_WORKER_PORT",
        _port_or_none,
        "port",
        "",
        "",
        "Where a process with the role `worker` alone answers `/metrics`, `/healthz` and `/readyz`. Default: nowhere.",
    ),
    Setting(
        "TRACESTORE_BASE_URL",
        _server_url("http", "https"),
        "URL",
        "",
        "",
        "Address under which people reach the UI, used in alert messages. Default: from host and port.",
    ),
    Setting(
        "TRACESTORE_ADMIN_PASSWORD",
        _text,
        "text",
        "",
        "",
        "Password of the user `admin`. When set, the UI asks for it, and OTLP and the API for a key or Basic `admin:password`.",
    ),
    Setting(
        "TRACESTORE_API_KEY",
        _text,
        "text",
        "",
        "",
        "Key for OTLP and the REST API (Bearer, x-api-key or Basic). When set, both demand it.",
    ),
    Setting(
        "TRACESTORE_SECRET_KEY",
        _text,
        "text",
        "",
        "",
        "Signs sessions and the links in messages that acknowledge. Default: made once, kept in the data folder.",
    ),
    Setting(
        "CLICKHOUSE_URL",
        _server_url("http", "https"),
        "URL",
        "",
        "",
        "`http(s)://user:password@host:port/database`. Default: embedded, under the data folder.",
    ),
    Setting(
        "DATABASE_URL",
        _database_url,
        "URL",
        "",
        "",
        "Users, alert rules, transitions. Default: SQLite under the data folder; Postgres for many processes.",
    ),
    Setting(
        "CELERY_BROKER_URL",
        _url("memory", "redis", "rediss", "amqp", "amqps"),
        "URL",
        "",
        "memory://",
        "Job queue. Default: in the process; Redis or RabbitMQ for many processes.",
    ),
    Setting(
        "TRACESTORE_MAX_BODY_BYTES",
        _whole_number(1, 2**31 - 1),  # Protobuf refuses larger messages
        "whole number",
        "bytes",
        "67108864",
        "Largest OTLP request, on the wire and inflated; a larger one is answered 413.",
    ),
    Setting(
        "TRACESTORE_SPOOL_MAX_BYTES",
        _BYTES,
        "whole number",
        "bytes",
        "4294967296",
        "Spool size at which OTLP requests are answered 503 until ClickHouse catches up.",
    ),
    Setting("TRACESTORE_QUERY_TIMEOUT_S", _SECONDS, "whole number", "seconds", "15", "A query that takes longer is stopped."),
    Setting(
        "TRACESTORE_QUERY_MEMORY_BYTES",
        _BYTES,
        "whole number",
        "bytes",
        "1073741824",
        "A query that needs more memory is stopped; embedded, also one that needs more than an eighth of the machine's or "
        "container's.",
    ),
    Setting(
        "TRACESTORE_RUNNING_TIMEOUT_S",
        _SECONDS,
        "whole number",
        "seconds",
        "600",
        "A trace without its root span counts as running until its last span is this old.",
    ),
    Setting(
        "TRACESTORE_RETENTION_DAYS",
        _whole_number(0, 36_500),
        "whole number",
        "days",
        "0",
        "What is older is deleted, whole days (UTC) at a time. 0 keeps everything.",
    ),
    Setting("TRACESTORE_ALERT_INTERVAL_S", _SECONDS, "whole number", "seconds", "15", "How often alert rules are evaluated."),
    Setting(
        "TRACESTORE_SMTP_URL",
        _smtp_url,
        "URL",
        "",
        "",
        "Mail server for e-mail alerts, `smtp(s)://user:password@host:port?from=address`.",
    ),
    Setting(
        "TRACESTORE_DELIVERY_TIMEOUT_S",
        _whole_number(1, 600),
        "whole number",
        "seconds",
        "30",
        "An attempt to deliver a message that takes longer is given up and made again later.",
    ),
    Setting(
        "TRACESTORE_HEARTBEAT_URL",
        _server_url("http", "https"),
        "URL",
        "",
        "",
        "Outside monitor that is asked by GET every minute while ingest, jobs and alert rules are well, and never otherwise.",
    ),
    Setting("TRACESTORE_LOG_LEVEL", _log_level, "level", "", "info", "debug, info, warning or error."),
)


def read_environment(environment: dict[str, str]) -> dict[str, Any]:
    """Return every setting's value by name. Raises ImproperlyConfigured naming the setting, its value and what is expected."""
    values = {}
    for setting in SETTINGS:
        text = environment.get(setting.name, "").strip() or setting.default
        try:
            values[setting.name] = setting.parse(text)
        except ValueError as error:
            shown = "" if "PASSWORD" in setting.name or "KEY" in setting.name or "URL" in setting.name else f" is {text!r} but"
            raise ImproperlyConfigured(f"{setting.name}{shown} must be {error}.") from None
    return values
