"""RFC 3339 times of the wire to nanoseconds, exactly: the standard library keeps only microseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

SECOND_NS: Final = 1_000_000_000
_REMEMBERED: Final = 4096
_seconds: dict[str, int] = {}


def nanoseconds(text: str) -> int:
    """``2023-02-09T20:32:50.714964855Z`` as ns since 1970; ValueError for anything else than UTC with a ``Z``."""
    whole, fraction = text[:19], text[20:-1]
    known = _seconds.get(whole)
    if known is None:
        known = _remember(whole, text)
    if text[-1:] != "Z" or (len(text) > 20 and text[19] != "."):
        raise ValueError(f"expected a UTC time like 2023-02-09T20:32:50.714Z, was {text!r:.60}")
    if not fraction:
        return known
    if not (fraction.isdigit() and fraction.isascii() and len(fraction) <= 9):
        raise ValueError(f"expected at most nine decimals of a second, was {text!r:.60}")
    return known + int(fraction) * int(10 ** (9 - len(fraction)))


def _remember(whole: str, text: str) -> int:
    try:
        at = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"expected a UTC time like 2023-02-09T20:32:50.714Z, was {text!r:.60}") from None
    if len(_seconds) >= _REMEMBERED:
        _seconds.clear()
    _seconds[whole] = known = int(at.timestamp()) * SECOND_NS
    return known


def rfc3339(at_ns: int) -> str:
    """Nanoseconds since 1970 as the wire wants them, with nine decimals."""
    seconds, rest = divmod(at_ns, SECOND_NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
