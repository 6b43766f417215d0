"""REST polling while the stream is away: prices, marks and bars go on, trading does not.

What is polled is late and has holes between two polls, so no book is kept from it and the feed never counts as LIVE:
the view takes best prices and trades, and the risk gate goes on refusing entries until the stream is back and its book
is in sync. Trades are handed over once, by id, however many polls list them. The reader behind ``fetch`` keeps to the
venue's budget and waits as long as a refusal says; what fails otherwise is tried again, ever less often.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from workers.adapters.frame_errors import FrameError
from workers.adapters.rest_reader import RestError
from workers.engine.events import MarketEvent, Trade
from workers.engine.market.dedup import SeenTrades

log = structlog.get_logger(__name__)

Fetch = Callable[[str], Awaitable[Sequence[MarketEvent]]]
"""Asks the venue for one instrument; raises RestError or FrameError."""


class Poller:
    """Polls every instrument in turn between ``start`` and ``stop``; the reader behind ``fetch`` paces itself."""

    def __init__(
        self,
        symbols: Sequence[str],
        fetch: Fetch,
        *,
        venue: str,
        interval_s: float = 2.0,
        after_s: float = 5.0,
        retry_cap_s: float = 0.0,
    ) -> None:
        """Polling begins ``after_s`` after ``start``: most outages are over before.

        After rounds in which nothing was answered the pause doubles, up to ``retry_cap_s`` (0: it stays).
        """
        self._symbols = tuple(symbols)
        self._fetch = fetch
        self._interval_s = interval_s
        self._after_s = after_s
        self._retry_cap_s = retry_cap_s
        self._task: asyncio.Task[None] | None = None
        self.seen = SeenTrades(venue)
        self.polls = 0
        self._before = 0
        self.failures = 0

    @property
    def active(self) -> bool:
        """True between ``start`` and ``stop``."""
        return self._task is not None and not self._task.done()

    @property
    def stands_in(self) -> bool:
        """True while the stream is away and polls have been answered."""
        return self.active and self.polls > self._before

    def start(self, on_event: Callable[[MarketEvent], None]) -> None:
        """The stream is away; may be called again. What ``on_event`` raises ends the polling."""
        if not self.active:
            self._before = self.polls
            self._task = asyncio.create_task(self._run(on_event))
            self._task.add_done_callback(_note_end)

    def cancel(self) -> bool:
        """The stream is back; True when something was polled while it was away."""
        if self._task is not None:
            self._task.cancel()
        return self.polls > self._before

    async def stop(self) -> None:
        """End, and wait for the end."""
        self.cancel()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _run(self, on_event: Callable[[MarketEvent], None]) -> None:
        await asyncio.sleep(self._after_s)
        await self.follow(on_event)

    async def follow(self, on_event: Callable[[MarketEvent], None]) -> None:
        """Poll until cancelled; raises what ``on_event`` raised. For a venue that has nothing but polling."""
        pause_s = self._interval_s
        while True:
            before = self.polls
            for symbol in self._symbols:
                await self._poll(symbol, on_event)
            answered = self.polls > before
            pause_s = self._interval_s if answered else max(min(pause_s * 2, self._retry_cap_s), self._interval_s)
            await asyncio.sleep(pause_s)

    async def ask(self, symbol: str) -> Sequence[MarketEvent] | None:
        """What the venue says of ``symbol`` now; None, counted and logged, when it does not answer."""
        try:
            return await self._fetch(symbol)
        except (RestError, FrameError) as error:
            self.failures += 1
            log.warning("polling failed", symbol=symbol, error=str(error))
            return None

    async def _poll(self, symbol: str, on_event: Callable[[MarketEvent], None]) -> None:
        events = await self.ask(symbol)
        if events is None:
            return
        self.polls += 1
        trades = self.seen.fresh(one for one in events if isinstance(one, Trade))
        for event in [*(one for one in events if not isinstance(one, Trade)), *trades]:
            on_event(event)


def _note_end(task: asyncio.Task[None]) -> None:
    """Whoever handled the event has kept its failure already; here it is only taken note of."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("polling ended", error=str(error))
