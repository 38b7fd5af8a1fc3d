"""What every kind of channel shares: how a refusal is read, and a POST that is bounded in time, follows no redirect and never
reaches where a cloud keeps the credentials of its machines.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

USER_AGENT = "Tracestore"
# The sender's fault, and the same request would fail again: the address, the credentials or the shape is wrong.
_PERMANENT_HTTP = {301, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 421, 422, 501}
_LONGEST_WAIT_S = 10
# Of the answer of a service that says in a word what is wrong.
_ANSWER_BYTES = 300
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([\w .,-]+)")


# Of clouds that serve metadata elsewhere than link-local: AWS over IPv6, Alibaba.
_METADATA = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))


class ChannelError(Exception):
    """A message that was not accepted. `permanent` when trying again cannot help until someone changes the channel.

    `silent` when the receiver gave no answer at all: it would give none to another message either.
    """

    def __init__(self, message: str, *, permanent: bool, silent: bool = False) -> None:
        super().__init__(message)
        self.permanent, self.silent = permanent, silent


def wait_s() -> float:
    """Return how long one read or write of an attempt may wait; the attempt as a whole has TRACESTORE_DELIVERY_TIMEOUT_S."""
    return float(min(_LONGEST_WAIT_S, settings.DELIVERY_TIMEOUT_S))


def no_answer() -> ChannelError:
    return ChannelError(f"The receiver did not answer within {wait_s():g} s.", permanent=False, silent=True)


def refusal(code: int, said: str = "") -> ChannelError:
    """Return the error of an HTTP status that does not accept; `said` is the receiver's own word for it."""
    phrase = f" ({HTTPStatus(code).phrase})" if code in HTTPStatus._value2member_map_ else ""
    hint = "; redirects are not followed" if 300 <= code < 400 else f": {said}" if said else ""
    return ChannelError(f"The receiver answered {code}{phrase}{hint}.", permanent=code in _PERMANENT_HTTP)


def unreachable(said: str) -> ChannelError | None:
    """Return the error behind the text of a failed connection, None when it says nothing of one."""
    if "timed out" in said or "Timeout" in said:
        return no_answer()
    if system := _SYSTEM_ERROR.search(said):
        return ChannelError(f"The receiver cannot be reached: {system[1].strip()}.", permanent=False, silent=True)
    return None


def check_http_url(target: str, noun: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    try:
        parts = urlsplit(target)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise ValueError("This is not a URL: use https://host/path.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{noun} starts with http:// or https:// and names a host.")
    if is_forbidden(parts.hostname):
        raise ValueError(f"{noun} is not a link-local one: no receiver is there.")


def show_host(target: str) -> str:
    """Return a URL without what may be secret: user, password, path and query."""
    parts = urlsplit(target)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}/" + ("…" if parts.path.strip("/") or parts.query else "")


def is_forbidden(address: str) -> bool:
    """Tell whether an IP address is one from which no receiver answers, only the network itself: link-local, metadata of clouds.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html. Loopback and private networks are where
    many receivers of one's own live.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # a name
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    return parsed.is_link_local or parsed in _METADATA


class _Forbidden(OSError):
    """The address is one that nothing is sent to."""


def _check_peer(connected: socket.socket) -> socket.socket:
    # Of the connection itself, before a byte is sent: what a name says may change between two questions.
    if is_forbidden(str(connected.getpeername()[0])):
        connected.close()
        raise _Forbidden("Messages are not sent to link-local addresses")
    return connected


class _CheckedHttp(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _check_peer(super()._new_conn())


class _CheckedHttps(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _check_peer(super()._new_conn())


class _CheckedHttpPool(HTTPConnectionPool):
    ConnectionCls = _CheckedHttp


class _CheckedHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedHttps


class _CheckedAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _CheckedHttpPool, "https": _CheckedHttpsPool}


def post(url: str, body: bytes, headers: dict[str, str] | None = None, *, says_why: bool = False) -> None:
    """POST a JSON body; a user and password before the host become Basic authentication. Raises ChannelError.

    Any status from 200 to 299 accepts. The answer, which may be endless, is not read, but for its first bytes when it refuses
    and `says_why`.
    """
    parts = urlsplit(url)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    sent = {"User-Agent": USER_AGENT, "Content-Type": "application/json"} | (headers or {})
    try:
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, _CheckedAdapter())
            with session.post(
                address, data=body, headers=sent, auth=auth, timeout=wait_s(), allow_redirects=False, stream=True
            ) as answer:
                if not 200 <= answer.status_code < 300:
                    raise refusal(answer.status_code, _read_reason(answer) if says_why else "")
    except requests.RequestException as error:
        if "link-local" in str(error):
            raise ChannelError("Messages are not sent to link-local addresses.", permanent=True) from None
        raise unreachable(str(error)) or ChannelError(_describe(error), permanent=False, silent=True) from None


def _read_reason(answer: requests.Response) -> str:
    text = next(answer.iter_content(_ANSWER_BYTES), b"").decode(errors="replace")
    return " ".join(text.split()).rstrip(".")


def _describe(error: requests.RequestException) -> str:
    # Not its text, which may hold the address and with it a secret.
    return f"The receiver cannot be reached: {type(error).__name__}."
