"""Commands ask the tables first; what a message says counts only while the tables cannot be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.execution import desired
from workers.live.execution.control import Desired
from workers.tasks import execution


class Told:
    """A control that writes down what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    async def follow(self, wanted: Desired) -> dict[str, Any]:
        self.calls.append(("follow", wanted))
        return {}

    async def start_run(self, *, plan: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(("start_run", plan))
        return {}

    async def activate_limits(self, **limits: Any) -> dict[str, Any]:
        self.calls.append(("activate_limits", limits))
        return {}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made = Told()

    def call(work: Callable[[Any], Coroutine[Any, Any, Any]], _timeout_s: float) -> Any:
        return asyncio.run(work(made))

    host = SimpleNamespace(config=SimpleNamespace(venue="paper"), call=call)
    monkeypatch.setattr(execution, "process", lambda: SimpleNamespace(host=host))
    return made


def test_the_tables_win_over_the_message(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = desired()
    monkeypatch.setattr(execution, "look", lambda _venue: seen)
    execution.start_run({"run_id": "late"})
    execution.activate_limits(1, "old", {}, "signature")
    assert told.calls == [("follow", seen), ("follow", seen)]


def test_without_the_tables_the_message_counts(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "look", lambda _venue: None)
    execution.start_run({"run_id": "r"})
    execution.activate_limits(1, "d", {"burst": 1}, "s")
    limits = {"version": 1, "digest": "d", "limits": {"burst": 1}, "signature": "s"}
    assert told.calls == [("start_run", {"run_id": "r"}), ("activate_limits", limits)]
