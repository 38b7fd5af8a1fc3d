"""What proves to a receiver that a webhook came from here, and when: an HMAC of the time and the body with a shared secret.

The header's form is Stripe's (https://docs.stripe.com/webhooks#verify-manually): several `v1` while a secret is rotated, and
the time within the signature, so that a request that was overheard cannot be sent again later.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta

HEADER = "Tracestore-Signature"
# How long the secret before is in force beside a new one, for receivers to be told.
OVERLAP = timedelta(hours=24)


def new_secret() -> str:
    """Return 256 random bits as text."""
    return "whsec_" + secrets.token_urlsafe(32)


def sign(body: bytes, in_force: Sequence[str], time_s: int) -> str:
    """Return for example "t=1763628600,v1=5257a8...", with one v1 for each secret."""
    signed = b"%d." % time_s + body
    digests = (hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in in_force)
    return ",".join([f"t={time_s}", *(f"v1={digest}" for digest in digests)])
