"""Journal first, then the wire; cancels after the sending; effects of effects in the order of the books."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.execution import within
from tests.workers.test_execution_venue import intent
from workers.adapters.journal import Journal, JournalUnavailable, read
from workers.adapters.venue import OrderNotFound
from workers.engine import ports
from workers.engine.events import (
    JournalEvent,
    OrderAccepted,
    OrderIntended,
    OrderNotSent,
    OrderSent,
)
from workers.live.execution.config import LoopConfig
from workers.live.execution.gateway import Cause, Gateway
from workers.live.execution.metrics import StageClock

SECOND_NS = 1_000_000_000


class Wire:
    """A venue that writes down what reaches it, and what was on disk then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[str, str, set[str]]] = []
        self.answer_s = 0.0
        self.unknown = False

    async def submit(
        self, order: OrderIntended, deadline: int, on_left: Callable[[str, int], None]
    ) -> list[JournalEvent]:
        on_disk = {record.event.client_id for record in read(self.folder) if isinstance(record.event, OrderIntended)}
        self.seen.append(("submit", order.client_id, on_disk))
        on_left(order.client_id, time.perf_counter_ns())
        await asyncio.sleep(self.answer_s)
        return [OrderAccepted(ts=1, client_id=order.client_id, venue_order_id="1")]

    async def cancel(self, symbol: str, client_id: str) -> None:
        self.seen.append(("cancel", client_id, set()))
        if self.unknown:
            raise OrderNotFound(client_id)


class Listener:
    """The loop's part: keeps what it is told."""

    def __init__(self) -> None:
        self.reports: list[JournalEvent] = []
        self.told: list[str] = []
        self.gateway: Gateway | None = None

    def report(self, event: JournalEvent) -> None:
        self.reports.append(event)

    def ask_forecast(self, request: ports.RequestForecast) -> None:
        self.told.append("forecast")

    def resync(self, reason: str) -> None:
        self.told.append("resync")
        if self.gateway is not None:
            self.gateway.handle([ports.Journal(accepted("nested"))])

    def journal_failed(self, reason: str) -> None:
        self.told.append("failed")

    def journal_restored(self) -> None:
        self.told.append("restored")

    def doubt(self, client_id: str) -> None:
        self.told.append(f"doubt {client_id}")

    def place_of(self, symbol: str) -> str:
        return "paper"

    def newest_quote(self, symbol: str) -> Cause:
        return Cause(1, 2, 4, 7)


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.journal, self.wire, self.host = Journal(folder), Wire(folder), Listener()
        config = LoopConfig(
            venue="paper", worker="w", journal_dir=folder, venue_url=None, api_key="", api_secret="", drain_s=2.0
        )
        self.gateway = Gateway(
            journal=self.journal, venue=self.wire, host=self.host, config=config, stages=StageClock()
        )
        self.host.gateway = self.gateway
        self.task = asyncio.create_task(self.gateway.run())

    def order(self, client_id: str, **changes: Any) -> Sequence[ports.Effect]:
        order = intent(client_id=client_id, **changes)
        return [ports.Journal(order), ports.Send(order, time.time_ns() + 2 * SECOND_NS)]


def accepted(client_id: str) -> OrderAccepted:
    return OrderAccepted(ts=1, client_id=client_id, venue_order_id="1")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.task.cancel()
    await asyncio.gather(made.task, return_exceptions=True)
    made.journal.close()


async def test_every_order_is_on_disk_before_it_is_on_the_wire(rig: Rig) -> None:
    for number in range(30):
        rig.gateway.handle(rig.order(f"o{number}"))
        if number % 7 == 0:
            await asyncio.sleep(0.003)
    await within(30, lambda: len(rig.wire.seen) == 30)
    assert [client_id for _, client_id, _ in rig.wire.seen] == [f"o{number}" for number in range(30)]
    assert all(client_id in on_disk for _, client_id, on_disk in rig.wire.seen)


async def test_what_was_sent_is_told_with_all_its_stages(rig: Rig) -> None:
    rig.gateway.handle(rig.order("o1", stages={"signal": 10, "risk": 20}))
    await within(30, lambda: any(isinstance(event, OrderSent) for event in rig.host.reports))
    sent = next(event for event in rig.host.reports if isinstance(event, OrderSent))
    assert {"receive": 1, "decode": 2, "book": 3, "signal": 10, "risk": 20}.items() <= sent.stages.items()
    assert sent.stages["total"] == sum(v for name, v in sent.stages.items() if name != "total")


async def test_a_cancel_waits_until_the_order_has_its_answer(rig: Rig) -> None:
    rig.wire.answer_s = 0.2
    rig.gateway.handle(rig.order("o1"))
    await within(30, lambda: rig.wire.seen)
    rig.gateway.handle([ports.Cancel("o1", "BTCUSDT", "", "changed my mind")])
    await asyncio.sleep(0.05)
    assert [what for what, _, _ in rig.wire.seen] == ["submit"]
    await within(30, lambda: len(rig.wire.seen) > 1)
    assert [what for what, _, _ in rig.wire.seen] == ["submit", "cancel"]


async def test_an_order_that_waits_for_a_slow_disk_does_not_leave_after_its_cancel(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rig.journal.commit

    async def slow() -> None:
        await asyncio.sleep(0.3)
        await real()

    monkeypatch.setattr(rig.journal, "commit", slow)
    rig.gateway.handle([*rig.order("o1"), *rig.order("o2")])
    await asyncio.sleep(0.1)
    rig.gateway.handle([ports.Cancel("o1", "BTCUSDT", "", "halted")])
    (dropped,) = rig.host.reports
    assert isinstance(dropped, OrderNotSent)
    assert (dropped.client_id, dropped.detail) == ("o1", "cancelled before it was sent: halted")
    await asyncio.sleep(0.8)
    assert [(what, client_id) for what, client_id, _ in rig.wire.seen] == [("submit", "o2")]
    intents = [record.event.client_id for record in read(rig.folder) if isinstance(record.event, OrderIntended)]
    assert intents == ["o1", "o2"], "what was decided stays on record"


async def test_a_cancel_that_finds_nothing_raises_a_doubt(rig: Rig) -> None:
    rig.wire.unknown = True
    rig.gateway.handle([ports.Cancel("o1", "BTCUSDT", "", "halt")])
    await within(30, lambda: rig.host.told)
    assert rig.host.told == ["doubt o1"]


async def test_without_a_journal_nothing_is_sent_and_cancels_still_are(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rig.journal._write_out
    monkeypatch.setattr(rig.journal, "_write_out", lambda _lines: (0, OSError(28, "No space left on device")))
    rig.gateway.handle([*rig.order("o1"), ports.Cancel("o2", "BTCUSDT", "", "halt")])
    await within(30, lambda: rig.wire.seen)
    assert [(what, client_id) for what, client_id, _ in rig.wire.seen] == [("cancel", "o2")]
    assert rig.host.told[:1] == ["failed"]
    (refused,) = rig.host.reports
    assert isinstance(refused, OrderNotSent)
    with pytest.raises(JournalUnavailable, match="No space left"):
        await rig.journal.commit()
    monkeypatch.setattr(rig.journal, "_write_out", real)
    await within(30, lambda: "restored" in rig.host.told)


async def test_what_waited_while_the_process_slept_is_dropped(rig: Rig) -> None:
    rig.gateway.handle(rig.order("o1"))
    rig.gateway.drop_waiting("paused for 7 s")
    await asyncio.sleep(0.1)
    assert rig.wire.seen == []
    (dropped,) = rig.host.reports
    assert isinstance(dropped, OrderNotSent)
    assert dropped.detail == "paused for 7 s"


async def test_effects_of_effects_come_after_the_list_that_caused_them(rig: Rig) -> None:
    rig.gateway.handle(
        [ports.Journal(accepted("first")), ports.Resync(5 * SECOND_NS), ports.Journal(accepted("second"))]
    )
    await rig.gateway.drain()
    names = [record.event.client_id for record in read(rig.folder) if isinstance(record.event, OrderAccepted)]
    assert names == ["first", "second", "nested"]


async def test_a_clean_stop_waits_for_its_own_cancels(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[str] = []

    async def cancel(symbol: str, client_id: str) -> None:
        await asyncio.sleep(0.05)
        answered.append(client_id)

    monkeypatch.setattr(rig.wire, "cancel", cancel)
    rig.gateway.handle([ports.Journal(accepted("o1")), ports.Cancel("o1", "BTCUSDT", "", "the worker stops")])
    await rig.gateway.drain()
    assert answered == ["o1"]


async def test_a_stop_without_a_journal_still_cancels(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = rig.journal._write_out
    monkeypatch.setattr(rig.journal, "_write_out", lambda _lines: (0, OSError(28, "No space left on device")))
    rig.gateway.handle([ports.Journal(accepted("o1")), ports.Cancel("o1", "BTCUSDT", "", "the worker stops")])
    await rig.gateway.drain()
    monkeypatch.setattr(rig.journal, "_write_out", real)
    assert [(what, client_id) for what, client_id, _ in rig.wire.seen] == [("cancel", "o1")]


async def test_a_hook_that_fails_in_an_answer_ends_the_watched_part(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def report(event: JournalEvent) -> None:
        if isinstance(event, OrderAccepted):
            raise ZeroDivisionError("in on_order")

    monkeypatch.setattr(rig.host, "report", report)
    rig.gateway.handle(rig.order("o1"))
    with pytest.raises(ZeroDivisionError, match="in on_order"):
        await asyncio.wait_for(asyncio.shield(rig.task), 5)
