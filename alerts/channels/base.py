"""What every kind of channel shares: how a refusal is read, and a POST that is bounded in time and follows no redirect."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from django.conf import settings

USER_AGENT = "Tracestore"
# The sender's fault, and the same request would fail again: the address, the credentials or the shape is wrong.
_PERMANENT_HTTP = {301, 308, 400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 421, 422, 501}
_LONGEST_WAIT_S = 10
# Of the answer of a service that says in a word what is wrong.
_ANSWER_BYTES = 300
_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([\w .,-]+)")


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


def show_host(target: str) -> str:
    """Return a URL without what may be secret: user, password, path and query."""
    parts = urlsplit(target)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}/" + ("…" if parts.path.strip("/") or parts.query else "")


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
        with requests.post(
            address, data=body, headers=sent, auth=auth, timeout=wait_s(), allow_redirects=False, stream=True
        ) as answer:
            if not 200 <= answer.status_code < 300:
                raise refusal(answer.status_code, _read_reason(answer) if says_why else "")
    except requests.RequestException as error:
        raise unreachable(str(error)) or ChannelError(_describe(error), permanent=False, silent=True) from None


def _read_reason(answer: requests.Response) -> str:
    text = next(answer.iter_content(_ANSWER_BYTES), b"").decode(errors="replace")
    return " ".join(text.split()).rstrip(".")


def _describe(error: requests.RequestException) -> str:
    # Not its text, which may hold the address and with it a secret.
    return f"The receiver cannot be reached: {type(error).__name__}."
