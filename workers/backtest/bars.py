"""Driving the simulator with bars.

A bar is four prices in an order that its colour suggests: open, the near extreme, the far one, close (the low first
when it closes above its open). Orders that a bar's close gives rise to meet the venue at the open of the next bar.
Resting orders fill where the path touches their price, at their price; how long a queue they would have stood in, no
bar can say. Orders under way inside a bar meet the newest price of its path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Final

from workers.backtest.config import BacktestConfig
from workers.backtest.simulator import Simulator, delayed_bar, hears
from workers.engine.events import Bar, BookSnapshot
from workers.engine.vocabulary import Side

DEEP: Final = 10**15
"""Lots shown at a price where no participation bounds them."""
PROGRESS_EVERY: Final = 5000

Progress = Callable[[float], None]
"""Told now and then which part is done, 0 to 1; what it raises ends the run."""


class BarDriver:
    """Feeds one series of bars per instrument, all of one interval, in order of time."""

    def __init__(self, simulator: Simulator, config: BacktestConfig) -> None:
        self._sim = simulator
        self._half_spread = config.half_spread_bps / 10_000
        self._participation = config.participation
        self._books = {
            one.symbol: (simulator.engine.book(one.symbol, Side.BUY), simulator.engine.book(one.symbol, Side.SELL))
            for one in simulator.instruments
        }

    def run(self, series: Sequence[Sequence[Bar]], progress: Progress | None = None) -> None:
        """Trade all bars; ``series`` has one sequence of bars per instrument, oldest first."""
        sim = self._sim
        strategy = sim.start(min(bars[0].start for bars in series), series[0][0].interval_ns)
        for instrument in sim.instruments:
            sim.go_live(instrument.symbol, sim.kernel.desk.now)
        warm, timer = sim.config.warm, hears(strategy, "on_timer")
        for bars in series:
            for bar in bars[:warm]:
                sim.kernel.warm_bar(bar)
        if len(series) == 1 and sim.feed is None:
            self._one(series[0], warm, timer=timer, progress=progress)
        else:
            self._many(list(in_step(series, warm)), timer=timer, progress=progress)

    def _one(self, bars: Sequence[Bar], warm: int, *, timer: bool, progress: Progress | None) -> None:
        """One instrument and no feed delay: a bar in which the venue has nothing to do costs one call."""
        sim = self._sim
        on_bar, take, queue, working, total = sim.kernel.on_bar, sim.take, sim.queue, sim.open, len(bars)
        parents = sim.kernel.desk.parents
        for place in range(warm, total):
            bar = bars[place]
            if queue or working:
                self._through([bar])
            effects = on_bar(bar, bar.ts_event)
            if effects:
                take(effects, bar.ts_event)
            if timer or parents.busy:
                take(sim.kernel.on_timer(bar.ts_event), bar.ts_event)
            if progress is not None and place % PROGRESS_EVERY == 0:
                progress(place / total)
        sim.until(bars[-1].ts_event, submits=False)

    def _many(self, groups: list[list[Bar]], *, timer: bool, progress: Progress | None) -> None:
        sim = self._sim
        for place, group in enumerate(groups):
            if sim.queue or sim.open:
                self._through(group)
            self._close(group)
            end = group[0].ts_event
            if timer or sim.kernel.desk.parents.busy:
                sim.take(sim.kernel.on_timer(end), end)
            if progress is not None and place % PROGRESS_EVERY == 0:
                progress(place / len(groups))
        sim.until(groups[-1][0].ts_event, submits=False)

    def _close(self, group: Sequence[Bar]) -> None:
        sim = self._sim
        for bar in group:
            if sim.feed is None:
                sim.take(sim.kernel.on_bar(bar, bar.ts_event), bar.ts_event)
            else:
                at = bar.ts_event + sim.feed.sample_ns()
                sim.later(at, delayed_bar(bar, at))

    def _through(self, group: Sequence[Bar]) -> None:
        """Take the venue through bars of the same time: open, extremes, close, and what arrives in between."""
        sim, start, end = self._sim, group[0].start, group[0].ts_event
        sim.until(start - 1, submits=False)
        sim.opened = start
        for bar in group:
            self._show(bar, bar.open, start)
        sim.until(start)
        if not sim.open and not sim.queue:
            return
        paths = [path(bar) for bar in group]
        for step in (1, 2, 3):
            # What happens at the close happens just before it: the bar is known only after.
            at = start + (end - start) * step // 3 - (step == 3)
            sim.until(at - 1)
            if sim.open:
                for bar, prices in zip(group, paths, strict=True):
                    self._show(bar, prices[step], at)
        sim.until(end, submits=False)

    def _show(self, bar: Bar, price: int, at: int) -> None:
        """The venue shows ``price``: one level on each side, that others do not take away."""
        bids, asks = self._books[bar.symbol]
        bids.clear()
        asks.clear()
        away = round(price * self._half_spread)
        lots = DEEP if self._participation is None else max(int(bar.volume * self._participation), 0)
        levels = (max(price - away, 1), lots), (price + away, lots)
        book = BookSnapshot(
            symbol=bar.symbol, ts_event=at, ts_recv=at, last_id=at, bids=(levels[0],), asks=(levels[1],)
        )
        reports = self._sim.engine.on_snapshot(book)
        if reports:
            self._sim.deliver(reports, at)


def path(bar: Bar) -> tuple[int, int, int, int]:
    """Open, the two extremes and close in the order that the bar suggests."""
    if bar.close >= bar.open:
        return bar.open, bar.low, bar.high, bar.close
    return bar.open, bar.high, bar.low, bar.close


def in_step(series: Sequence[Sequence[Bar]], warm: int) -> Iterator[list[Bar]]:
    """Bars of all series that cover the same time, together; the first ``warm`` of each are left out."""
    rest = [(bar.start, place, bar) for place, bars in enumerate(series) for bar in bars[warm:]]
    rest.sort(key=lambda item: item[:2])
    for _, group in groupby(rest, key=lambda item: item[0]):
        yield [bar for _, _, bar in group]
