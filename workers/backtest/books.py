"""Driving the simulator with recorded quotes, trades and order books.

Every event first moves the venue (its book, its queues, our fills) and then, after the feed delay, our own view of the
market: sequence rules, quality gate, book, bars from trades, exactly as in live trading. The recorded market does not
react to our orders. A recording that holds no depth is traded at its best bid and ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from workers.backtest.bars import Progress
from workers.backtest.config import BacktestConfig, BacktestError
from workers.backtest.shown import ShownBook
from workers.backtest.simulator import Simulator
from workers.engine.config import SECOND_NS
from workers.engine.events import MarketEvent, TopOfBook
from workers.engine.instruments import Instrument
from workers.engine.market.view import MarketView, ViewConfig

TIMER_NS: Final = SECOND_NS // 4
SILENCE_NS: Final = 60 * SECOND_NS
"""A longer gap in a recording is jumped over."""
PROGRESS_EVERY: Final = 5000


@dataclass(frozen=True)
class Replay:
    """Market events in order of receipt (``ts_recv``), with the digest of where they came from.

    ``depth`` is False where only quotes and trades were recorded: then quotes make the venue's book.
    """

    instruments: tuple[Instrument, ...]
    events: Iterable[MarketEvent]
    digest: str
    depth: bool = True
    count: int = 0
    """Number of events where it is known, for the progress."""
    label: str = field(default="", compare=False)


class BookDriver:
    """Replays one recording."""

    def __init__(self, simulator: Simulator, config: BacktestConfig) -> None:
        self.events = 0
        self._sim = simulator
        self._interval = config.interval_ns or SECOND_NS
        self._views: dict[str, MarketView] = {}
        self._shown: dict[str, ShownBook] = {}
        simulator.before_orders = self._catch_up

    def run(self, data: Replay, progress: Progress | None = None) -> None:
        """Trade the recording from its first event to its last; BacktestError when it holds none."""
        sim = self._sim
        config = ViewConfig(bar_interval_ns=self._interval, needs_book=data.depth)
        self._views = {one.symbol: MarketView(one, config) for one in data.instruments}
        self._shown = {one.symbol: ShownBook(sim.engine, depth=data.depth) for one in data.instruments}
        queue, working, shown, views, see = sim.queue, sim.open, self._shown, self._views, self._see
        now = due = count = 0
        for event in data.events:
            now = max(event.ts_recv, now)
            if not count:
                sim.start(now, self._interval)
                due = now + TIMER_NS
            if now >= due:
                due = self._tick(due, now)
            if queue:
                sim.until(now - 1)
            # The venue first, then what we see of it.
            symbol = event.symbol
            reports = shown[symbol].take(event, working=bool(working))
            if reports:
                sim.deliver(reports, now)
            seen = views[symbol].on_event(event, now)
            if seen:
                see(seen, now)
            if queue:
                sim.until(now)
            count += 1
            if progress is not None and not count % PROGRESS_EVERY:
                progress(min(count / max(data.count, count), 1.0))
        if not count:
            raise BacktestError(f"{data.label or 'the recording'} holds no event")
        self.events = count
        sim.until(now)

    def _catch_up(self, _at: int) -> None:
        """Before the venue takes orders, its books are brought up to date."""
        for shown in self._shown.values():
            shown.settle()

    def _see(self, seen: Sequence[MarketEvent], now: int) -> None:
        sim = self._sim
        if sim.feed is not None:
            for event in seen:
                sim.later(now + sim.feed.sample_ns(), event)
            return
        kernel, take = sim.kernel, sim.take
        for event in seen:
            effects = kernel.on_top(event, now) if type(event) is TopOfBook else kernel.on_market(event, now)
            if effects:
                take(effects, now)

    def _tick(self, due: int, now: int) -> int:
        """Every quarter of a second: silence, bars without trades, quotes that still stand, and the timer hook."""
        sim = self._sim
        if now - due > SILENCE_NS:
            due = now
        while due <= now:
            sim.until(due)
            for symbol, view in self._views.items():
                seen = view.on_time(due)
                if seen:
                    self._see(seen, due)
                reference = view.reference(due)
                if reference is not None and reference.source == "mid":
                    sim.kernel.confirm(symbol, due - reference.age_ns)
            sim.take(sim.kernel.on_timer(due), due)
            due += TIMER_NS
        return due
