"""Event names: declared once, coded stably, and each of them is written somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apps.audit.registry import UnknownEvent, code_of, event, events

APPS = Path(__file__).resolve().parents[2] / "apps"


def test_every_declared_event_is_written_by_its_app() -> None:
    for name in events():
        app = APPS / name.split(".", maxsplit=1)[0]
        source = "\n".join(path.read_text() for path in app.rglob("*.py") if path.name != "events.py")
        verb = name.split(".", maxsplit=1)[1]
        # Some services build the name from the app and the verb of a transition.
        assert name in source or verb.rsplit(".", maxsplit=1)[-1] in source, name


def test_every_written_event_is_declared() -> None:
    pattern = re.compile(r'event="([a-z]+\.[a-z0-9_.]+)"')
    for path in APPS.rglob("*.py"):
        for name in pattern.findall(path.read_text()):
            assert event(name).name == name


def test_codes_are_stable_and_unique() -> None:
    assert code_of("accounts.user.created") == event("accounts.user.created").code == "ACC0994"
    codes = [found.code for found in events().values()]
    assert len(set(codes)) == len(codes)


def test_every_event_says_in_a_sentence_what_happened() -> None:
    assert all(len(found.sentence.split()) >= 3 for found in events().values())


def test_an_unknown_name_says_where_to_declare_it() -> None:
    with pytest.raises(UnknownEvent, match=r"events\.py"):
        event("trading.unicorn.sighted")
