"""Bounds how often one address may try the admin password: at the login page, and as Basic credentials of OTLP and the API.

Counted per process, in Django's cache: a restart forgets, and several web processes allow a few more.
"""

from __future__ import annotations

import contextlib
import ipaddress

from django.core.cache import cache

TRIES, WINDOW_S = 10, 300


class TooManyGuesses(Exception):
    """This address has to wait. The message is for people."""

    def __init__(self) -> None:
        super().__init__(f"Too many wrong passwords came from this address. Wait {WINDOW_S // 60} minutes, then try again.")


def check_address(address: str) -> None:
    """Raises TooManyGuesses when the address has no tries left."""
    if cache.get(_key(address), 0) >= TRIES:
        raise TooManyGuesses


def spend_try(address: str) -> None:
    """Count one try before it is made, so that many at once are not more. Raises TooManyGuesses."""
    key = _key(address)
    cache.add(key, 0, WINDOW_S)
    with contextlib.suppress(ValueError):  # the window ended between the two
        if cache.incr(key) > TRIES:
            raise TooManyGuesses


def refund_try(address: str) -> None:
    """The password was right: the try does not count."""
    with contextlib.suppress(ValueError):
        cache.decr(_key(address))


def _key(address: str) -> str:
    """One counter for an IPv4 address or an IPv6 network of 64 bits, which is what one customer gets."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "password-tries:"
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed) >> 64 << 64)
    return f"password-tries:{parsed}"
