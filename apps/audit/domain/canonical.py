"""The bytes that an audit entry stands for: what is hashed, exported and verified.

Version 1: one JSON object with every column but the hashes, keys sorted, no spaces, UTF-8, times in UTC with
microseconds. A column that is added later becomes part of version 2; version 1 rows keep their bytes for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

VERSION: Final = 1
GENESIS: Final = bytes(32)
"""The chain hash before the first entry."""

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class NotAuditable(ValueError):
    """A value that has no faithful place in an audit entry; the change that brought it must not happen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing that somebody did, or was refused."""

    seq: int
    at: datetime
    actor_kind: str
    actor_id: str
    actor_name: str
    roles: list[str]
    mfa: str
    evidence: str
    session: str
    ip: str
    origin: str
    request_id: str
    trace_id: str
    event: str
    code: str
    object_type: str
    object_id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str
    outcome: str

    def columns(self) -> dict[str, Any]:
        """Every column as JSON values."""
        return {
            "actor_id": self.actor_id,
            "actor_kind": self.actor_kind,
            "actor_name": self.actor_name,
            "after": self.after,
            "at": utc_text(self.at),
            "before": self.before,
            "code": self.code,
            "event": self.event,
            "evidence": self.evidence,
            "ip": self.ip,
            "mfa": self.mfa,
            "object_id": self.object_id,
            "object_type": self.object_type,
            "origin": self.origin,
            "outcome": self.outcome,
            "reason": self.reason,
            "request_id": self.request_id,
            "roles": self.roles,
            "seq": self.seq,
            "session": self.session,
            "trace_id": self.trace_id,
            "v": VERSION,
        }

    def leaf_hash(self) -> bytes:
        return leaf_hash(canonical_bytes(self.columns()))


def canonical_bytes(columns: Mapping[str, Any]) -> bytes:
    """Sorted-key compact UTF-8 JSON."""
    return _encode(columns).encode()


def leaf_hash(data: bytes) -> bytes:
    """RFC 9162 section 2.1.1: SHA-256 of 0x00 and the leaf's bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def chain_hash(previous: bytes, leaf: bytes) -> bytes:
    """What the next entry carries as its ``prev_hash``."""
    return hashlib.sha256(previous + leaf).digest()


def utc_text(at: datetime) -> str:
    """``2026-01-05T09:00:00.000000Z``; a naive time has no place in UTC and is refused."""
    if at.tzinfo is None:
        raise NotAuditable(f"expected an aware time, was {at.isoformat()}")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def clean_text(text: str) -> str:
    """Text that PostgreSQL stores and UTF-8 encodes as it is: NUL and lone surrogates become visible escapes."""
    if "\x00" in text:
        text = text.replace("\x00", "\\x00")
    return text.encode("utf-8", "backslashreplace").decode()


def plain_json(value: Any, place: str = "") -> Any:
    """``value`` as JSON that survives a round trip through ``jsonb`` bit for bit.

    Decimals, floats, times, UUIDs and enums become text (a float in ``jsonb`` may come back as an integer).
    Raises NotAuditable for bytes, NaN, sets and any object without a declared form: what cannot be told apart
    from a secret is refused, not guessed at.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {_name(key, place): plain_json(inner, f"{place}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(inner, f"{place}[{index}]") for index, inner in enumerate(value)]
    return _scalar_text(value, place)


def _name(key: object, place: str) -> str:
    if not isinstance(key, str):
        raise NotAuditable(f"expected text as the name of a value in {place or 'the entry'}, was {key!r}")
    return clean_text(key)


def _scalar_text(value: Any, place: str) -> str:
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds()}s"
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, float) and value - value == 0:
        return repr(value)
    raise NotAuditable(f"cannot audit {type(value).__name__} {value!r:.60} at {place or 'the entry'}")
