"""What an algorithm sees of its parent and of the market since it began to look. Gone with the process; pure."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

from workers.engine.config import SECOND_NS
from workers.engine.execution.parent import Parent
from workers.engine.execution.volume import Tape, Variance
from workers.engine.market_state import MarketState
from workers.engine.vocabulary import Side

HALF_LIFE_S: Final = 60.0
SAMPLES: Final = 30
"""Prices to have seen before a volatility is believed."""
SPREAD_WEIGHT: Final = 0.02


def pressure(side: Side, *, bid_lots: int, ask_lots: int, spread: int, usual_spread: float) -> float:
    """How much speaks for crossing now, from -0.5 (wait) to 1.

    More lots on our own side of the book than on the other mean that the price is about to run away; a spread that is
    narrower than usual makes crossing cheap.
    """
    whole = bid_lots + ask_lots
    imbalance = (bid_lots - ask_lots) / whole * int(side) if whole else 0.0
    cheap = 1.0 - spread / usual_spread if usual_spread > 0 else 0.0
    return min(max(0.6 * imbalance + 0.4 * cheap, -0.5), 1.0)


class Progress:
    """One parent's view. ``since``: when it began to look (ns); ``lots_before``: lots done or open at that moment."""

    __slots__ = (
        "_base",
        "_base_turnover",
        "_calm",
        "_market",
        "_usual",
        "_variance",
        "lots_before",
        "parent",
        "since",
        "tape",
        "why",
    )

    def __init__(self, parent: Parent, market: MarketState, tape: Tape, *, now: int, lots_before: int) -> None:
        self.parent = parent
        self.tape = tape
        self.since = max(now, parent.start)
        self.lots_before = lots_before
        self.why = ""
        """What keeps the parent from going on, in words."""
        self._market = market
        self._base = tape.total
        self._base_turnover = tape.turnover
        self._variance = Variance(HALF_LIFE_S)
        self._calm = 0.0
        self._usual = 0.0

    def before_start(self) -> None:
        """The parent has not begun: what trades until then does not count."""
        self._base = self.tape.total
        self._base_turnover = self.tape.turnover

    def turnover(self) -> int:
        """Ticks x lots that were seen to trade since ``since``."""
        return self.tape.turnover - self._base_turnover

    def observe(self, now: int) -> None:
        """Look at the book."""
        market = self._market
        if market.bid and market.ask:
            self._variance.add(now, (market.bid + market.ask) / 2)
            spread = market.ask - market.bid
            self._usual = spread if not self._usual else self._usual + SPREAD_WEIGHT * (spread - self._usual)
            if not self._calm and self._variance.samples >= SAMPLES:
                self._calm = self._variance.value

    def volume(self, ts: int) -> int:
        """Lots that were seen to trade from ``since`` to ``ts``."""
        return max(self.tape.until(ts) - self._base, 0)

    def sigma(self, interval_ns: int) -> float:
        """Standard deviation of the log return over one second.

        Until enough was seen, that of the newest closes, which are ``interval_ns`` apart (0: there are none).
        """
        if self._variance.samples < SAMPLES and interval_ns:
            closes = list(self._market.closes)[-SAMPLES - 1 :]
            moves = [math.log(after / before) for before, after in pairwise(closes)]
            if len(moves) >= SAMPLES // 2:
                return math.sqrt(sum(move * move for move in moves) / len(moves) * SECOND_NS / interval_ns)
        return math.sqrt(self._variance.value)

    def volatility_ratio(self, usual_bps: float) -> float:
        """Realised volatility over ``usual_bps`` per square root of a minute, or over the first seen; 1 if unknown."""
        usual = (usual_bps / 1e4) ** 2 / 60.0 if usual_bps else self._calm
        if usual <= 0 or self._variance.samples < SAMPLES:
            return 1.0
        return math.sqrt(self._variance.value / usual)

    def pressure(self) -> float:
        """See ``pressure``; 0 without a book."""
        market = self._market
        if not market.bid or not market.ask:
            return 0.0
        return pressure(
            self.parent.side,
            bid_lots=market.bid_lots,
            ask_lots=market.ask_lots,
            spread=market.ask - market.bid,
            usual_spread=self._usual,
        )
