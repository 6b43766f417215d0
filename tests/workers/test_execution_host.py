"""The loop in its own thread: commands from other threads, status, the lock, a clean end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from tests.support.execution import (
    LIMITS_PUBLIC,
    SECOND_NS,
    SYMBOLS,
    Oscillating,
    desired,
    paper_venue,
    published,
    within,
)
from workers.adapters.forecast_client import Reply
from workers.adapters.journal import JournalLocked
from workers.engine.kernel import RunError
from workers.engine.risk.limits import limits_digest
from workers.engine.vocabulary import TradingState
from workers.live.execution.config import LoopConfig
from workers.live.execution.host import LoopHost, NotReady


class NoForecasts:
    def ask(self, **_: Any) -> str:
        return ""


class Shown(dict[tuple[str, str], Any]):
    """A display bus that keeps the newest rows."""

    def put(self, topic: str, key: str, data: Any) -> None:
        self[topic, key] = data


def config(folder: Path, url: str) -> LoopConfig:
    return LoopConfig(
        venue="paper",
        worker="execution",
        journal_dir=folder,
        venue_url=url,
        api_key="paper-key",
        api_secret="paper-secret",
        limits_key=LIMITS_PUBLIC,
        symbols=SYMBOLS,
        retry_s=0.2,
    )


@pytest.fixture
async def venue_url(tmp_path: Path) -> AsyncIterator[str]:
    async with paper_venue(tmp_path / "venue") as venue:
        yield venue.url


async def test_commands_reach_the_loop_and_are_answered(venue_url: str, tmp_path: Path) -> None:
    host, shown = LoopHost(config(tmp_path / "journal", venue_url)), Shown()
    host.start(NoForecasts(), shown)
    await within(30, lambda: host.ready() and host.status()["reconciled"])
    wanted = desired()
    assert wanted.control is not None
    limits = wanted.limits or {}
    answer = await asyncio.to_thread(
        host.call,
        lambda control: control.set_trading_state(state="ACTIVE", reason="go", by="me", control_version=4),
        5.0,
    )
    assert answer == {"state": "ACTIVE", "reason": "go", "control_version": 4}
    older = await asyncio.to_thread(
        host.call,
        lambda control: control.set_trading_state(state="HALTED", reason="late", by="me", control_version=3),
        5.0,
    )
    assert older["state"] == "ACTIVE"
    assert await asyncio.to_thread(host.call, lambda control: control.activate_limits(**limits), 5.0) == {"version": 1}
    plan = wanted.runs[0]
    for _ in range(2):
        started = await asyncio.to_thread(host.call, lambda control: control.start_run(plan=plan), 5.0)
        assert started == {"run_id": "run-1", "running": True}
    with pytest.raises(RunError, match="run-1 trades BTCUSDT"):
        await asyncio.to_thread(host.call, lambda control: control.start_run(plan={**plan, "run_id": "run-2"}), 5.0)
    assert host.status()["runs"] == ["run-1"]
    stopped = await asyncio.to_thread(host.call, lambda control: control.stop_run(run_id="run-1", reason="done"), 5.0)
    assert stopped == {"run_id": "run-1", "running": False}
    await within(30, lambda: shown.get(("risk", "paper"), {}).get("reconciled"))
    assert shown["pnl", "paper"]["equity"] == "100000"
    assert shown["feed", "paper:BTCUSDT"]["market"] == "synthetic"
    assert shown["risk", "paper"]["limits_version"] == 1
    with pytest.raises(JournalLocked):
        LoopHost(config(tmp_path / "journal", venue_url)).start(NoForecasts(), shown)
    await asyncio.to_thread(host.stop)
    assert not host.alive()


async def test_planted_and_late_limits_and_late_starts_change_nothing(venue_url: str, tmp_path: Path) -> None:
    host = LoopHost(config(tmp_path / "journal", venue_url))
    host.start(NoForecasts(), Shown())
    await within(30, host.ready)
    assert host.trading is not None
    books, first = host.trading.kernel.books, desired()
    limits = (first.limits or {})["limits"]
    host.take_desired(first)
    await within(30, lambda: bool(books.runs) and books.limits_version == 1)
    good = books.limits_digest

    async def taken(**changes: Any) -> str:
        wanted = msgspec.structs.replace(desired(), **changes)
        answer = await asyncio.to_thread(host.call, lambda control: control.follow(wanted), 5.0)
        return str(answer["problem"])

    wild = {**limits, "max_order_notional": "9000000"}
    planted = {"version": 2, "digest": limits_digest(wild), "limits": wild}
    assert "not signed" in await taken(limits=planted)
    assert "not signed" in await taken(limits={**published(limits, 2), "digest": planted["digest"], "limits": wild})
    assert "were changed" in await taken(limits={**published(limits, 2), "limits": wild})
    assert "hold with the digest" in await taken(limits=published(wild, 1))
    assert (books.limits_version, books.limits_digest) == (1, good)
    late = desired()
    assert await taken(limits=published(wild, 3)) == ""
    await asyncio.to_thread(host.call, lambda control: control.follow(late), 5.0)
    assert books.limits_version == 3, "a look that began earlier must not put older limits back"
    answer = await asyncio.to_thread(host.call, lambda control: control.activate_limits(**published(limits, 2)), 5.0)
    assert answer == {"version": 3}
    assert await taken(limits=published(limits, 2)) == "", "the tables may name a draft with a lower number"
    assert (books.limits_version, books.limits_digest) == (2, good)
    await asyncio.to_thread(host.call, lambda control: control.stop_run(run_id="run-1", reason="done"), 5.0)
    with pytest.raises(RunError, match="final"):
        await asyncio.to_thread(host.call, lambda control: control.start_run(plan=first.runs[0]), 5.0)
    assert not books.runs
    await asyncio.to_thread(host.stop)


async def test_what_is_wanted_is_taken_from_the_tables(venue_url: str, tmp_path: Path) -> None:
    host = LoopHost(config(tmp_path / "journal", venue_url))
    host.start(NoForecasts(), Shown())
    await within(30, host.ready)
    assert host.trading is not None
    books = host.trading.kernel.books
    host.take_desired(desired())
    await within(30, lambda: bool(books.runs) and books.state is TradingState.ACTIVE)
    gone = desired(state="HALTED", version=2)
    gone.runs.clear()  # type: ignore[attr-defined]  # a list here
    host.take_desired(gone)
    await within(30, lambda: books.state is TradingState.HALTED)
    assert books.runs, "one look without it may be older than its start"
    host.take_desired(gone)
    await within(30, lambda: not books.runs)
    broken = desired(version=3)
    (broken.limits or {})["digest"] = "0" * 64
    host.take_desired(broken)
    await within(30, lambda: "LimitsError" in host.status()["problem"])
    await asyncio.to_thread(host.stop)


async def test_without_a_venue_commands_are_refused_in_words(tmp_path: Path) -> None:
    host = LoopHost(config(tmp_path / "journal", "http://127.0.0.1:1"))
    host.start(NoForecasts(), Shown())
    await within(30, lambda: host.status()["phase"] == "waiting for the venue")
    with pytest.raises(NotReady, match="waiting for the venue"):
        await asyncio.to_thread(host.call, lambda control: control.cancel_all(reason="x", by="me"), 1.0)
    assert host.alive()
    await asyncio.to_thread(host.stop)
    assert not host.alive()


async def test_a_look_that_breaks_is_told_and_a_forecast_that_breaks_ends_the_loop(
    venue_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _pid, number: ended.append(number))
    host = LoopHost(config(tmp_path / "journal", venue_url))
    host.start(NoForecasts(), Shown())
    await within(30, host.ready)
    assert host.trading is not None
    assert host.control is not None

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by a strategy")

    monkeypatch.setattr(host.control, "_take_state", broken)
    host.take_desired(desired())
    await within(30, lambda: host.status()["problem"] == "ZeroDivisionError: by a strategy")
    monkeypatch.setattr(host.trading.kernel, "on_forecast", broken)
    oscillating = Oscillating()
    made: list[Reply] = []
    oscillating.loop = SimpleNamespace(take_forecasts=made.append)  # type: ignore[assignment]
    oscillating._answer(1, SECOND_NS, "model-1", ["BTCUSDT"])
    host.take_reply(made[0])
    await within(30, lambda: ended)
    assert host.failure == "ZeroDivisionError: by a strategy"
    await asyncio.to_thread(host.stop)
