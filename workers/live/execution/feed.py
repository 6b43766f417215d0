"""The market side of the loop: one view per instrument, fed by the venue's websocket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from workers.adapters.binance.market_client import FrameTimes
from workers.adapters.feeds import Handlers
from workers.adapters.frame_errors import FrameError
from workers.engine.events import FeedStatus, Level, MarketEvent
from workers.engine.instruments import Instrument
from workers.engine.market.venues import Feature, VenueRules
from workers.engine.market.venues import Sequence as Sequenced
from workers.engine.market.view import MarketView, ViewConfig
from workers.engine.vocabulary import FeedState, Side
from workers.live.execution.gateway import NO_CAUSE, Cause
from workers.live.execution.metrics import MARKET_EVENTS
from workers.live.execution.names import Names

Follow = Callable[[Sequence[Instrument], Handlers], Coroutine[Any, Any, None]]
"""Follows the market of these instruments until cancelled; raises what a handler raised."""
SECOND_NS: Final = 1_000_000_000
OnMarket = Callable[[MarketEvent, int, Cause], None]
"""Gets what a view believes, the time (wall ns) and the way it came."""


def view_config(rules: VenueRules, interval_ns: int) -> ViewConfig:
    """How a market is watched: without a book where each price is complete, without own bars where trades are secret.

    A venue that sends heartbeats confirms its prices with them, so that two are waited for.
    """
    return ViewConfig(
        bar_interval_ns=interval_ns if rules.supports(Feature.PUBLIC_TRADES) else 0,
        needs_book=rules.sequence is not Sequenced.NONE,
        shows=not rules.is_dark,
        stale_after_ns=max(ViewConfig().stale_after_ns, int(2.2 * rules.heartbeat_s * SECOND_NS)),
    )


class Feed:
    """Keeps the views fed; ``restart`` throws the connection away and begins anew."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        names: Names,
        rules: VenueRules,
        follow: Follow,
        interval_ns: int,
        on_market: OnMarket,
    ) -> None:
        """``instruments`` by key; ``follow`` knows them by the venue's own names."""
        self.interval_ns = interval_ns
        self._names = names
        self._rules = rules
        self._instruments = dict(instruments)
        self._follow = follow
        self._on_market = on_market
        self._again = asyncio.Event()
        self._reason = ""
        self._counters = {symbol: MARKET_EVENTS.labels(names.venue, symbol) for symbol in instruments}
        self.views: dict[str, MarketView] = {}
        self.quotes: dict[str, Cause] = {}
        """How the newest believed event of each instrument came."""
        self.events = 0
        self.refused = 0
        self._make_views()

    def _make_views(self) -> None:
        """New views go on in the market session that the old ones knew: another interval is no other session."""
        config, known = view_config(self._rules, self.interval_ns), self.views
        self.views = {symbol: MarketView(one, config) for symbol, one in self._instruments.items()}
        for symbol, old in known.items():
            self.views[symbol].session_id, self.views[symbol].closes_at = old.session_id, old.closes_at

    async def run(self) -> None:
        """Follow the market until cancelled; raises what the kernel raised: a failed handler must not trade on."""
        while True:
            wanted = self.interval_ns
            handlers = Handlers(self.on_event, self._wants_snapshot, self._on_refused, interval_ns=wanted)
            natives = [self._names.outward(one) for one in self._instruments.values()]
            following = asyncio.create_task(self._follow(natives, handlers))
            asked = asyncio.create_task(self._again.wait())
            try:
                await asyncio.wait({following, asked}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                for task in (following, asked):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
            self._again.clear()
            self._void(self._reason)

    def restart(self, reason: str, interval_ns: int = 0) -> None:
        """Distrust everything received so far and connect again, with bars of ``interval_ns`` where one is given."""
        self._reason = reason
        if interval_ns and interval_ns != self.interval_ns:
            self.interval_ns = interval_ns
            self._make_views()
        self._again.set()

    def _void(self, reason: str) -> None:
        now = time.time_ns()
        for symbol in self.views:
            self._take(
                FeedStatus(symbol=symbol, ts_event=now, ts_recv=now, state=FeedState.STALE, detail=reason), now, 0, None
            )

    def on_event(self, told: MarketEvent, times: FrameTimes) -> None:
        """One event off the wire, in the read callback of its socket."""
        event = self._names.inward(told)
        self.events += 1
        self._counters[event.symbol].inc()
        self._take(event, time.time_ns(), times.decoded_ns, times)

    def _take(self, event: MarketEvent, now: int, decoded: int, times: FrameTimes | None) -> None:
        believed = self.views[event.symbol].on_event(event, now)
        if not believed:
            return
        cause = NO_CAUSE
        if times is not None:
            cause = Cause(times.read_ns, times.decode_started_ns, decoded, time.perf_counter_ns())
            self.quotes[event.symbol] = cause
        for one in believed:
            self._on_market(one, now, cause)

    def on_time(self, now: int) -> None:
        """Let the views notice silence and close bars in which nothing happened."""
        for view in self.views.values():
            for one in view.on_time(now):
                self._on_market(one, now, NO_CAUSE)

    def _wants_snapshot(self, symbol: str) -> bool:
        return self.views[self._names.key(symbol)].wants_snapshot

    def _on_refused(self, error: FrameError) -> None:
        self.refused += 1
        view = self.views.get(self._names.key(error.symbol)) if error.symbol else None
        if view is not None:
            view.reject(error.reason, error.detail)

    def depth(self, symbol: str, side: Side, levels: int) -> tuple[Level, ...]:
        """At most ``levels`` levels of one side, best first; ``()`` while the book is not in sync."""
        view = self.views.get(symbol)
        if view is None or view.state is not FeedState.LIVE:
            return ()
        return tuple((view.book.bids if side is Side.BUY else view.book.asks).top(levels))
