"""Orders to cancel, over a worker that is killed: each is acted upon once, and none that is over comes back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.kernels import Rig
from workers.engine import events as e
from workers.engine.config import SECOND_NS
from workers.engine.execution.conditional_types import ConditionalKind, ConditionalRequest
from workers.engine.execution.parent import ParentRequest
from workers.engine.vocabulary import Side
from workers.live.execution.control import Control, Desired
from workers.live.execution.loop import TradingLoop

EVERYTHING = {"scope": "firm", "symbol": "", "strategy": "", "side": ""}
SECOND = timedelta(seconds=1)


class Journal:
    async def commit(self) -> None:
        """The rig keeps everything."""


def control_of(rig: Rig) -> Control:
    config = SimpleNamespace(limits_key=b"")
    loop = SimpleNamespace(kernel=rig.kernel, apply=rig.take, journal=Journal(), config=config)
    return Control(cast("TradingLoop", loop))


def begin() -> tuple[Rig, Control]:
    rig = Rig()
    rig.now = int((datetime.now(UTC) - SECOND).timestamp() * 1e9)
    rig.open()
    rig.top("BTCUSDT", 99_99, 100_01)
    return rig, control_of(rig)


def restart(killed: Rig, *, without_marks: bool = False) -> tuple[Rig, Control]:
    """A new process on the journal of one that was killed, as an older version wrote it ``without_marks``."""
    kept = [event for event in killed.journal if not (without_marks and isinstance(event, e.CancelsTaken))]
    rig = Rig()
    rig.now, rig.journal = kept[-1].ts + 1, kept
    rig.kernel.recover(e.Record(seq=seq, hash="", event=cast("Any", event)) for seq, event in enumerate(kept, 1))
    epoch = killed.books.epoch + 1
    rig.take(
        rig.kernel.open_session(rig.now, epoch=epoch, venue="paper", worker="w", instruments=list(rig.instruments))
    )
    return rig, control_of(rig)


def look(control: Control, version: int, at: datetime | None = None, **wanted: Any) -> None:
    row = {"state": "ACTIVE", "version": 1, "reason": "", "by": ""}
    cancel = {"cancel_version": version, "cancel_reason": "clean up", "cancel_by": "ann", "cancel_at": at}
    asyncio.run(control.take(Desired(control={**row, **cancel}, limits=None, runs=[{"run_id": "run-1"}], **wanted)))
    assert control.problem == ""


def part(number: int, at: datetime) -> dict[str, Any]:
    return {"number": number, "selection": EVERYTHING, "reason": "clean up", "by": "ann", "at": at}


def protect(rig: Rig) -> tuple[str, str]:
    """Hold a stop and a parent; their ids."""
    start, hour = rig.now + 60 * SECOND_NS, 3600 * SECOND_NS
    request = ParentRequest(
        symbol="BTCUSDT",
        side=Side.BUY,
        lots=50_000,
        algorithm="twap",
        params={"slices": 2},
        start=start,
        end=start + hour,
    )
    rig.kernel.desk.now = rig.now
    stop = rig.kernel.desk.hold(
        ConditionalRequest(
            symbol="BTCUSDT", side=Side.SELL, kind=ConditionalKind.STOP, lots=1000, trigger=98_00, reduce_only=False
        )
    )
    assert stop is not None
    rig.take(rig.kernel.start_parent(rig.now, request, parent_id="p-1", by="ann"))
    return stop, "p-1"


def live(rig: Rig, ids: tuple[str, str]) -> tuple[bool, bool]:
    stop, parent = ids
    return stop in {held.client_id for held in rig.kernel.desk.conditionals.live()}, parent in rig.books.working


def test_what_was_cancelled_before_a_restart_does_not_end_what_came_after_it() -> None:
    rig, control = begin()
    asked = datetime.now(UTC)
    look(control, 1, asked, cancels=[part(7, asked)])
    ids = protect(rig)
    assert live(rig, ids) == (True, True)
    rig, control = restart(rig)
    look(control, 1, asked, cancels=[part(7, asked)])
    assert live(rig, ids) == (True, True)
    rig.check_replay()


@pytest.mark.parametrize("everything", [True, False])
@pytest.mark.parametrize("without_marks", [True, False])
def test_a_cancel_asked_while_the_worker_was_down_is_carried_out_once(*, everything: bool, without_marks: bool) -> None:
    rig, control = begin()
    old = datetime.now(UTC)
    look(control, 1, old, cancels=[part(7, old)])
    ids = protect(rig)
    asked = datetime.now(UTC) + SECOND
    rig, control = restart(rig, without_marks=without_marks)
    version, at = (2, asked) if everything else (1, old)
    cancels = [part(7, old)] if everything else [part(8, asked), part(7, old)]
    look(control, version, at, cancels=cancels)
    assert live(rig, ids) == (False, False)
    again = protect_again(rig)
    look(control, version, at, cancels=cancels)
    rig, control = restart(rig)
    look(control, version, at, cancels=cancels)
    assert again in {held.client_id for held in rig.kernel.desk.conditionals.live()}


def protect_again(rig: Rig) -> str:
    """Hold one more stop."""
    rig.kernel.desk.now = rig.now
    stop = rig.kernel.desk.hold(
        ConditionalRequest(
            symbol="BTCUSDT", side=Side.SELL, kind=ConditionalKind.STOP, lots=1000, trigger=97_00, reduce_only=False
        )
    )
    assert stop is not None
    rig.take(rig.kernel.on_timer(rig.now))
    return stop


@pytest.mark.parametrize("time_known", [True, False])
def test_a_journal_without_marks_takes_old_cancels_for_acted_upon(*, time_known: bool) -> None:
    rig, control = begin()
    old = datetime.now(UTC) - timedelta(minutes=1)
    look(control, 3, old, cancels=[part(7, old)])
    ids = protect(rig)
    rig, control = restart(rig, without_marks=True)
    at = old if time_known else None
    look(control, 3, at, cancels=[part(7, old)])
    assert live(rig, ids) == (True, True)
    look(control, 4, at)
    assert live(rig, ids) == (False, False)


def test_a_command_and_the_poll_behind_it_cancel_once() -> None:
    rig, control = begin()
    asyncio.run(control.cancel_all(reason="clean up", by="ann", version=1))
    asyncio.run(control.cancel_some(number=7, selection=EVERYTHING, reason="clean up", by="ann"))
    ids = protect(rig)
    look(control, 1, datetime.now(UTC), cancels=[part(7, datetime.now(UTC))])
    assert live(rig, ids) == (True, True)
