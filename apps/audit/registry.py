"""The registry of event names: what is not declared in some app's ``events.EVENTS`` cannot be written.

A name is ``app.object.verb``; its code (``ACC4711``) is derived from the name alone, so it never changes.
"""

from __future__ import annotations

import functools
import re
import zlib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from django.apps import apps

_NAME: Final = re.compile(r"^[a-z]+(\.[a-z0-9_]+){2,3}$")


class UnknownEvent(LookupError):
    """An event name that no app declares."""


@dataclass(frozen=True)
class Event:
    name: str
    code: str
    sentence: str


def code_of(name: str) -> str:
    """Three letters of the app and four digits of the name's CRC-32."""
    return f"{name[:3].upper()}{zlib.crc32(name.encode()) % 10_000:04d}"


@functools.cache
def events() -> dict[str, Event]:
    """All declared events by name. ValueError for a malformed name or two names with one code."""
    found: dict[str, Event] = {}
    codes: dict[str, str] = {}
    for config in apps.get_app_configs():
        if not config.name.startswith("apps.") or find_spec(f"{config.name}.events") is None:
            continue
        declared: dict[str, str] = getattr(import_module(f"{config.name}.events"), "EVENTS", {})
        for name, sentence in declared.items():
            if not _NAME.match(name) or not name.startswith(f"{config.label}."):
                raise ValueError(f"{config.name}.events declares {name!r}; expected {config.label}.object.verb")
            code = code_of(name)
            if codes.setdefault(code, name) != name:
                raise ValueError(f"{name} and {codes[code]} share the code {code}; rename one")
            found[name] = Event(name, code, sentence)
    return found


def event(name: str) -> Event:
    """The declared event; UnknownEvent names where to declare it."""
    try:
        return events()[name]
    except KeyError:
        raise UnknownEvent(f"audit event {name!r} is not declared in the events.py of its app") from None
