"""What the kernel knows of one instrument's market right now; not journalled, gone with the process."""

from __future__ import annotations

from collections import deque
from typing import Final

from workers.engine.accounting.line import Line
from workers.engine.accounting.records import Run
from workers.engine.events import Forecast, TopOfBook
from workers.engine.execution.conditional_types import Conditional
from workers.engine.portfolio.plan import Move
from workers.engine.vocabulary import FeedState

HISTORY_BARS: Final = 4096
"""Closes kept per instrument, the longest input that a model may ask for."""


class MarketState:
    """Newest prices, feed state and forecast of one instrument. Ticks, lots and ns.

    ``reference`` is the middle of the book, or the last bar's close where no book was ever seen.
    """

    __slots__ = (
        "ask",
        "ask_lots",
        "bar_end",
        "bid",
        "bid_lots",
        "closes",
        "closes_at",
        "denied",
        "feed",
        "forecast",
        "forecasts_from",
        "has_top",
        "held",
        "line",
        "move",
        "quiet_until",
        "reference",
        "reference_ts",
        "run",
        "session_id",
        "symbol",
    )

    def __init__(self, line: Line) -> None:
        self.line = line
        self.symbol = line.symbol
        self.bid = 0
        self.bid_lots = 0
        self.ask = 0
        self.ask_lots = 0
        self.has_top = False
        self.reference = 0
        self.reference_ts = 0
        self.feed = FeedState.CONNECTING
        self.session_id = 0
        self.closes_at = 0
        self.bar_end = 0
        self.closes: deque[int] = deque(maxlen=HISTORY_BARS)
        self.held: dict[str, Conditional] = {}
        """Conditional orders that wait for this market's prices; the books' own dictionary."""
        self.run: Run | None = None
        """The run that trades this instrument."""
        self.forecast: Forecast | None = None
        self.forecasts_from = 0
        """A forecast that has seen no bar from after this moment is of another market."""
        self.move: Move | None = None
        """What is left of a trade that is larger than one order may be."""
        self.denied = 0
        """Sign of the side that was denied last, 0 for none."""
        self.quiet_until = 0

    def take_quote(self, quote: TopOfBook) -> int:
        """Take the best bid and ask; return their middle in ticks, rounded down.

        ``has_top`` is the caller's: of a quote that was made for a bar, closes go on to be this market's prices.
        """
        self.bid = quote.bid
        self.bid_lots = quote.bid_lots
        self.ask = quote.ask
        self.ask_lots = quote.ask_lots
        self.reference_ts = quote.ts_recv
        self.reference = middle = (quote.bid + quote.ask) // 2
        return middle

    def forget(self, now: int) -> None:
        """Trust nothing seen before ``now``: a new session began, or the process was paused."""
        self.feed = FeedState.STALE
        self.reference_ts = 0
        self.bid = self.ask = self.bid_lots = self.ask_lots = 0
        self.forecast = self.move = None
        self.forecasts_from = now
