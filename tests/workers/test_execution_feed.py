"""The feed's views through a restart: what the kernel is told of the market session."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.execution import within
from tests.support.kernels import BTC
from workers.adapters.binance.market_client import FrameTimes
from workers.engine.events import FeedStatus, MarketEvent
from workers.engine.market.venues import PAPER
from workers.engine.vocabulary import FeedState
from workers.live.execution.feed import Feed
from workers.live.execution.names import Names

SECOND_NS = 1_000_000_000


async def nothing(*_: Any) -> None:
    """A market from which nothing comes."""
    await asyncio.Event().wait()


def status(state: FeedState, session_id: int) -> FeedStatus:
    return FeedStatus(symbol="BTCUSDT", ts_event=1, ts_recv=1, state=state, session_id=session_id, closes_at=99)


async def test_another_interval_is_no_other_session() -> None:
    told: list[MarketEvent] = []
    feed = Feed(
        {"BTCUSDT": BTC},
        names=Names("paper", "paper"),
        rules=PAPER,
        follow=nothing,
        interval_ns=SECOND_NS,
        on_market=lambda event, _now, _cause: told.append(event),
    )
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(0)
    feed.on_event(status(FeedState.LIVE, 7), FrameTimes(0, 0, 0))
    feed.restart("bars of 1m from now on", 60 * SECOND_NS)
    await within(30, lambda: told, pause=0)
    feed.on_event(status(FeedState.LIVE, 7), FrameTimes(0, 0, 0))
    stale = [(event.state, event.session_id, event.closes_at) for event in told if isinstance(event, FeedStatus)]
    assert stale == [(FeedState.STALE, 7, 99)]
    feed.on_event(status(FeedState.LIVE, 8), FrameTimes(0, 0, 0))
    assert isinstance(told[-1], FeedStatus)
    assert told[-1].session_id == 8, "a session that did change is told"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
