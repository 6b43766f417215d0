"""A generated market for tests and measurements: geometric Brownian motion under a seed, labelled SYNTHETIC.

Nothing in it can be forecast. The rate of its events is exact, which is what a measurement needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from workers.engine.execution.matching_latency import SplitMix64
from workers.engine.instruments import Instrument
from workers.live.paper_venue.config import ConfigError, MarketKind, VenueConfig
from workers.live.paper_venue.sources.listing import instrument
from workers.live.paper_venue.sources.path import DrawnBook
from workers.live.paper_venue.wire import Frame, Session

_SYMBOLS = (("BTCUSDT", 60_000.0), ("ETHUSDT", 2_600.0))
_YEARLY_VOLATILITY = 0.6
_SECONDS_PER_YEAR = 365 * 86_400
_PATTERN = ("top", "top", "trade", "top", "depth")
_LEVELS = 20
_MAX_EVENTS = 90_000_000


class _Walk:
    """One instrument's price and book."""

    def __init__(self, listed: Instrument, price: float, step_sigma: float, random: SplitMix64) -> None:
        self.book = DrawnBook(listed, levels=_LEVELS)
        self._log_price = math.log(price / float(listed.tick))
        self._lots = max(1, round(20_000 / price / float(listed.lot)))
        self._sigma = step_sigma
        self._random = random

    def move(self) -> None:
        """Take the next step of the price and draw the book there."""
        self._log_price += self._sigma * self._random.normal() - self._sigma**2 / 2
        bid = round(math.exp(self._log_price))
        self.book.draw(bid, bid + 1, max(1, bid // 100_000), max(1, round(self._lots * (0.5 + self._random.uniform()))))

    def frame(self, kind: str, update_id: int) -> Frame:
        """The next frame of this instrument."""
        if kind == "trade":
            buy = self._random.uniform() < 0.5
            return self.book.trade(update_id, max(1, round(self._lots * self._random.uniform() / 4)), buy=buy)
        self.move()
        return self.book.depth(update_id) if kind == "depth" else self.book.top(update_id)


class SyntheticSource:
    """BTCUSDT and ETHUSDT at ``events_per_second`` together, in sessions of ``session_s``."""

    kind = MarketKind.SYNTHETIC
    bar_interval = "1s"

    def __init__(self, config: VenueConfig) -> None:
        if config.events_per_second * config.session_s > _MAX_EVENTS:
            raise ConfigError(
                f"expected at most {_MAX_EVENTS} synthetic events per session, "
                f"was {config.events_per_second:g}/s for {config.session_s:g} s"
            )
        self.instruments: tuple[Instrument, ...] = tuple(instrument(s, config) for s, _ in _SYMBOLS)
        self.label = f"SYNTHETIC random walk, seed {config.seed}, {config.events_per_second:g} events/s"
        self._config = config

    def session(self, number: int, history_from_ns: int) -> Session:  # noqa: ARG002 - a walk has no short cut
        """A walk that the seed and the number decide."""
        return Session(round(self._config.session_s * 1e9), self._frames(number))

    def _frames(self, number: int) -> Iterator[tuple[int, Frame]]:
        rate = self._config.events_per_second
        random = SplitMix64(self._config.seed * 1_000_003 + number)
        sigma = _YEARLY_VOLATILITY / math.sqrt(_SECONDS_PER_YEAR * rate / len(_SYMBOLS))
        walks = [_Walk(i, price, sigma, random) for i, (_, price) in zip(self.instruments, _SYMBOLS, strict=True)]
        for walk in walks:
            walk.move()
            yield 0, walk.book.book(1)
        for count in range(1, int(self._config.session_s * rate)):
            walk = walks[count % len(walks)]
            kind = _PATTERN[count // len(walks) % len(_PATTERN)]
            yield int(count * 1e9 / rate), walk.frame(kind, count + 1)
