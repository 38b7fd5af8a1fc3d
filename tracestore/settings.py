"""Django settings, and the only place where the environment is read.

Every setting is declared once in ``SETTINGS`` with its type, unit, default and help; README.md shows the same table and a
test compares the two. A bad value raises ``ImproperlyConfigured`` with a sentence, which stops the start.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dj_database_url
import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

django_stubs_ext.monkeypatch()  # lets generic Django classes carry their type arguments at run time

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Setting:
    """One environment variable. ``parse`` turns its text into a value or raises ValueError with the expectation."""

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


def is_loopback(host: str) -> bool:
    """True when a server bound to this address can only be reached from the same machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _prepare_data_folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise ImproperlyConfigured(f"TRACESTORE_DATA: cannot write to the folder {path}: {reason}.") from None
    return path


def _read_secret_key(given: str, data: Path) -> str:
    if given:
        return given
    path = data / "secret_key"
    try:
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
        return path.read_text()
    except FileExistsError:  # another process made it at the same moment
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(f"TRACESTORE_DATA: cannot use the file {path}: {error.strerror}.") from None


_values = read_environment(dict(os.environ))

DATA = _prepare_data_folder(Path(_values["TRACESTORE_DATA"]).expanduser().resolve())
HOST: str = _values["TRACESTORE_HOST"]
PORT: int = _values["TRACESTORE_PORT"]
OTLP_HTTP_PORT: int = _values["TRACESTORE_OTLP_HTTP_PORT"]
OTLP_GRPC_PORT: int = _values["TRACESTORE_OTLP_GRPC_PORT"]
OTLP_CORS_ORIGINS: tuple[str, ...] = _values["TRACESTORE_OTLP_CORS_ORIGINS"]
ADMIN_PASSWORD: str = _values["TRACESTORE_ADMIN_PASSWORD"]
API_KEY: str = _values["TRACESTORE_API_KEY"]
WORKER_PORT: int | None = _values["TRACESTORE_WORKER_PORT"]
CLICKHOUSE_URL: str = _values["CLICKHOUSE_URL"]
MAX_BODY_BYTES: int = _values["TRACESTORE_MAX_BODY_BYTES"]
SPOOL_MAX_BYTES: int = _values["TRACESTORE_SPOOL_MAX_BYTES"]
QUERY_TIMEOUT_S: int = _values["TRACESTORE_QUERY_TIMEOUT_S"]
QUERY_MEMORY_BYTES: int = _values["TRACESTORE_QUERY_MEMORY_BYTES"]
RUNNING_TIMEOUT_S: int = _values["TRACESTORE_RUNNING_TIMEOUT_S"]
RETENTION_DAYS: int = _values["TRACESTORE_RETENTION_DAYS"]
ALERT_INTERVAL_S: int = _values["TRACESTORE_ALERT_INTERVAL_S"]
DELIVERY_TIMEOUT_S: int = _values["TRACESTORE_DELIVERY_TIMEOUT_S"]
HEARTBEAT_URL: str = _values["TRACESTORE_HEARTBEAT_URL"]
SMTP_URL: str = _values["TRACESTORE_SMTP_URL"]
LOG_LEVEL: str = _values["TRACESTORE_LOG_LEVEL"]
if HOST in ("localhost", "127.0.0.1", "::1"):
    REACHED_AS = "localhost"
elif HOST in ("0.0.0.0", "::"):
    REACHED_AS = gethostname()
else:
    REACHED_AS = f"[{HOST}]" if ":" in HOST else HOST
BASE_URL: str = _values["TRACESTORE_BASE_URL"].rstrip("/") or f"http://{REACHED_AS}:{PORT}"

LOGIN_REQUIRED = bool(ADMIN_PASSWORD) or not is_loopback(HOST)
# A password is set to keep people out: then nobody may write either (a reverse proxy may stand before loopback).
KEY_REQUIRED = bool(API_KEY or ADMIN_PASSWORD) or not is_loopback(HOST)
if not is_loopback(HOST) and not (ADMIN_PASSWORD or API_KEY):
    raise ImproperlyConfigured(
        f"TRACESTORE_HOST is {HOST}, which other machines can reach: set TRACESTORE_ADMIN_PASSWORD or TRACESTORE_API_KEY first, "
        "or bind to 127.0.0.1."
    )

SECRET_KEY = _read_secret_key(_values["TRACESTORE_SECRET_KEY"], DATA)
DEBUG = False
# On loopback only local names are served, which stops a web page from reaching the UI by rebinding its own DNS name.
# Elsewhere a login or key stands in front, and the name under which the machine is reached is not ours to know.
ALLOWED_HOSTS = (
    ["localhost", "127.0.0.1", "[::1]", REACHED_AS, urlsplit(BASE_URL).hostname or "localhost"] if is_loopback(HOST) else ["*"]
)
CSRF_TRUSTED_ORIGINS = ["https://" + urlsplit(BASE_URL).netloc] if BASE_URL.startswith("https://") else []

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "tracestore",
    "ingest",
    "dashboards",
    "alerts",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    # A list is a hundred kilobytes of HTML and a tenth of that on the wire. Against guesses from the length (breachattack.com) it
    # adds random bytes, and CSRF tokens are masked anew in each answer.
    "tracestore.middleware.CompressionMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "tracestore.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "tracestore.middleware.AccessMiddleware",
    "tracestore.middleware.LostRaceMiddleware",
    "dashboards.refusal.WrongMethodMiddleware",
    "dashboards.refusal.ExtendedQueryMiddleware",
]
ROOT_URLCONF = "tracestore.urls"
ASGI_APPLICATION = "tracestore.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "tracestore.context.instance",
            ],
        },
    }
]

DATABASES: dict[str, Any] = {
    "default": dj_database_url.parse(_values["DATABASE_URL"] or f"sqlite:///{DATA / 'tracestore.sqlite3'}")
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # WAL lets readers go on while a job writes; IMMEDIATE takes the write lock at BEGIN, where waiting is still possible.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # Tests use a file as well: the in-memory kind locks whole tables and does not wait for them.
    DATABASES["default"]["TEST"] = {"NAME": DATA / "test.sqlite3"}
# Counts wrong passwords; bounded, because anyone can add to it.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = []
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "trace-list"
LOGOUT_REDIRECT_URL = "login"

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = DATA / "static"
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.AppDirectoriesFinder", "dashboards.finders.PlotlyFinder"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "servestatic.storage.CompressedManifestStaticFilesStorage"},
}

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BASE_URL.startswith("https://")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["dashboards.api.authentication.SessionOrKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "dashboards.api.schema.ApiSchema",
    "EXCEPTION_HANDLER": "dashboards.api.errors.handle_exception",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Tracestore API",
    "DESCRIPTION": (
        "Traces, spans, logs, metrics and alerts of AI agents. Times are RFC 3339 in UTC; fields that end in `_ns` are in "
        "nanoseconds, `_s` in seconds, `_usd` in US dollars. Lists answer `results` and `next`, the address of the following "
        "page or null. docs/api.md is the manual."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {  # several are called kind or state
        "StepKindEnum": "tracestore.language.fields.KINDS",
        "ChannelKindEnum": "alerts.models.ChannelKind",
        "IncidentEventKindEnum": "alerts.models.IncidentEventKind",
        "IncidentStateEnum": "alerts.models.IncidentState",
        "RuleKindEnum": "alerts.models.RuleKind",
    },
}

CELERY_BROKER_URL = _values["CELERY_BROKER_URL"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"clients": {"()": "tracestore.log_lines.WithoutTracebacksOfClients"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["clients"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "celery": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
        "kombu": {"level": "ERROR"},  # warns that the in-process broker has no host name
        "django.request": {"level": "ERROR"},
        "apprise": {"level": "CRITICAL"},  # a failed delivery is logged once, by the alert that made it
    },
}
