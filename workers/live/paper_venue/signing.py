"""Binance's request security: API key, HMAC-SHA256 signature, timestamp and receive window."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from workers.live.paper_venue import errors
from workers.live.paper_venue.errors import VenueError

_MAX_WINDOW_MS = 60_000
_DEFAULT_WINDOW_MS = 5_000
_AHEAD_MS = 1_000


class Credentials:
    """The one key pair of the venue's account."""

    def __init__(self, key: str, secret: str) -> None:
        self._key = key
        self._secret = secret.encode()

    def check_key(self, key: str | None) -> None:
        """Raise -2014 without a key, -2015 for one that is not known."""
        if not key:
            raise VenueError(*errors.BAD_API_KEY_FORMAT, status=401)
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            raise VenueError(*errors.BAD_API_KEY, status=401)

    def check_signature(self, payload: str, signature: str) -> None:
        """Raise -1022 unless ``signature`` is the payload's HMAC in hex."""
        expected = hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.lower().encode()):
            raise VenueError(*errors.BAD_SIGNATURE)


def unsigned(query: str, body: str) -> str:
    """What was signed: the query, then the body, without the signature, with nothing between them."""
    return "".join("&".join(p for p in part.split("&") if not p.startswith("signature=")) for part in (query, body))


def check_time(params: Mapping[str, str], now_ms: int) -> None:
    """Raise -1021 when the request's time is ahead, or older than its window; -1102 when it has none."""
    timestamp, window = params.get("timestamp", ""), params.get("recvWindow", str(_DEFAULT_WINDOW_MS))
    if not timestamp.isdigit():
        raise errors.missing("timestamp")
    if not window.replace(".", "", 1).isdigit() or float(window) > _MAX_WINDOW_MS:
        raise VenueError(-1131, "recvWindow must be less than 60000")
    if int(timestamp) >= now_ms + _AHEAD_MS:
        raise VenueError(*errors.TIMESTAMP_AHEAD)
    if now_ms - int(timestamp) > float(window):
        raise VenueError(*errors.BAD_TIMESTAMP)
