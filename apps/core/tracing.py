"""Request and trace ids: W3C trace context in, the same ids on every log line, audit row and answer."""

from __future__ import annotations

import re
import secrets
from typing import Final
from uuid import UUID

from apps.core.ids import new_id

_TRACEPARENT: Final = re.compile(r"^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$")
_ZERO_TRACE: Final = "0" * 32
_ZERO_SPAN: Final = "0" * 16


def trace_id_of(traceparent: str) -> str:
    """The 32 hex digits of a W3C ``traceparent``, or a fresh trace id when the header is absent or malformed."""
    found = _TRACEPARENT.match(traceparent.strip())
    if found and found[1] != _ZERO_TRACE and found[2] != _ZERO_SPAN:
        return found[1]
    return secrets.token_hex(16)


def request_id_of(header: str) -> UUID:
    """The caller's ``X-Request-ID`` when it is a UUID, else a fresh one: other text never reaches logs and rows."""
    try:
        return UUID(header.strip())
    except ValueError:
        return new_id()
