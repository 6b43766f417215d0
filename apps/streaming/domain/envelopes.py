"""The one shape of what goes to a browser: ``{v, topic, kind, key, seq, ts, data}``."""

from __future__ import annotations

import json
from typing import Any, Final

VERSION: Final = 1

Envelope = dict[str, Any]


def envelope(*, topic: str, kind: str, seq: int, ts: str, key: str = "", data: Any = None) -> Envelope:
    """``kind``: snapshot (the whole topic), delta (a newer value of ``key``), event (a lossless change), hb, error.

    ``seq`` grows by one per message of a lossless topic; in a conflated topic it only grows, since values between may
    have been skipped. ``ts`` is ISO 8601 with offset.
    """
    return {"v": VERSION, "topic": topic, "kind": kind, "key": key, "seq": seq, "ts": ts, "data": data}


class Shared(dict[str, Any]):
    """An envelope that goes to many clients: it is turned into text once. Do not change it afterwards."""

    __slots__ = ("_text",)

    def text(self) -> str:
        if not hasattr(self, "_text"):
            self._text = json.dumps(self, separators=(",", ":"))
        return self._text


def text_of(message: Envelope) -> str:
    """What goes over the wire."""
    return message.text() if isinstance(message, Shared) else json.dumps(message, separators=(",", ":"))


def upsert(state: dict[str, Any], message: Envelope) -> dict[str, Any]:
    """What a client does with a message: replace all on a snapshot, else keep the newer row of the key.

    Rows with a ``version`` never go backwards, so a message that comes twice or late changes nothing.
    """
    if message["kind"] == "snapshot":
        return dict(message["data"])
    row, known = message["data"], state.get(message["key"])
    if isinstance(known, dict) and isinstance(row, dict) and known.get("version", 0) > row.get("version", 0):
        return state
    return {**state, message["key"]: row}
