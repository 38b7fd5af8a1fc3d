"""Django settings, made from the environment, which is read nowhere else.

What it may say stands in environment.py. A bad value raises `ImproperlyConfigured` with a sentence, which stops the start.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import secrets
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
import django_stubs_ext
from django.core.exceptions import ImproperlyConfigured

from tracestore.environment import read_environment

django_stubs_ext.monkeypatch()  # lets generic Django classes carry their type arguments at run time

ROOT = Path(__file__).resolve().parent.parent


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
            code = errno.EROFS if os.statvfs(path).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(code, os.strerror(code))
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
    "tracestore.web.middleware.CompressionMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "tracestore.web.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "tracestore.web.middleware.AccessMiddleware",
    "tracestore.web.middleware.LostRaceMiddleware",
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
                "tracestore.web.context.instance",
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
    "filters": {
        "clients": {"()": "tracestore.process.log_lines.WithoutTracebacksOfClients"},
        "outages": {"()": "tracestore.process.log_lines.WithoutTracebacksOfOutages"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["clients", "outages"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "celery": {"level": "WARNING" if LOG_LEVEL == "INFO" else LOG_LEVEL},
        "kombu": {"level": "ERROR"},  # warns that the in-process broker has no host name
        "django.request": {"level": "ERROR"},
        "apprise": {"level": "CRITICAL"},  # a failed delivery is logged once, by the alert that made it
    },
}
