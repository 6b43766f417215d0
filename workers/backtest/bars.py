"""Driving the simulator with bars.

A bar is four prices in an order that its colour suggests: open, the near extreme, the far one, close (the low first
when it closes above its open), with a quarter of its volume at each. Orders that a bar's close gives rise to meet the
venue at the open of the next bar. Resting orders fill where the path touches their price, at their price; how long a
queue they would have stood in, no bar can say. Orders under way inside a bar meet the newest price of its path.

While parent orders are worked, the kernel is shown what the venue shows: at each price of the path a best bid and ask
around it. Between two of them it looks at parents every ``LOOK_NS``, and when one is due. Volume they only know of bars
that are over. A bar's last quote ends with the bar, so that nothing is decided at a price of the bar before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Final, NamedTuple

from workers.backtest.bar_volume import STEPS, LearnedCurves, room
from workers.backtest.config import BacktestConfig
from workers.backtest.simulator import Simulator, delayed_bar, hears
from workers.engine.config import SECOND_NS
from workers.engine.events import Bar, BookSnapshot, TopOfBook
from workers.engine.vocabulary import Side

DEEP: Final = 10**15
"""Lots shown at a price where no participation bounds them."""
PROGRESS_EVERY: Final = 5000

LOOK_NS: Final = 5 * SECOND_NS
MOST_LOOKS: Final = 240
"""Looks at working parents in one bar, however long it is, beside those at moments that they wait for."""

Progress = Callable[[float], None]
"""Told now and then which part is done, 0 to 1; what it raises ends the run."""


class Shown(NamedTuple):
    """What the venue shows: ``price`` is number ``step`` of the bar's path."""

    bar: Bar
    step: int
    price: int


class BarDriver:
    """Feeds one series of bars per instrument, all of one interval, in order of time."""

    def __init__(self, simulator: Simulator, config: BacktestConfig) -> None:
        self._sim = simulator
        self._half_spread = config.half_spread_bps / 10_000
        self._share = None if config.participation is None else Fraction(str(config.participation))
        self._shown: dict[str, Shown] = {}
        if self._share is not None:
            # What one order took is not there for the next one, of either side.
            simulator.before_orders = self._show_again
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
        sim.kernel.desk.parents.curves = LearnedCurves(sim.kernel.desk, series)
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
        parents, worked = sim.kernel.desk.parents, sim.kernel.books.working
        for place in range(warm, total):
            bar = bars[place]
            if queue or working or worked:
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
            if sim.queue or sim.open or sim.kernel.books.working:
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
        sim, start, end, worked = self._sim, group[0].start, group[0].ts_event, self._sim.kernel.books.working
        sim.until(start - 1, submits=False)
        sim.opened = start
        sim.traded.clear()
        self._shown.clear()
        paths = [path(bar) for bar in group]
        for step in range(STEPS):
            # What happens at the close happens just before it: the bar is known only after.
            at = start + (end - start) * step // 3 - (step == 3)
            if step:
                sim.until(at - 1)
            if sim.open or worked or not step:
                for bar, prices in zip(group, paths, strict=True):
                    self._show(Shown(bar, step, prices[step]), at)
            if not step:
                sim.until(start)
            if worked:
                self._work(group, paths, step, at)
            elif not sim.open and not sim.queue:
                return
        sim.until(end, submits=False)

    def _work(self, group: Sequence[Bar], paths: Sequence[tuple[int, int, int, int]], step: int, at: int) -> None:
        """Show working parents the quotes of this step, then let them do what is due until the next one."""
        sim, start, end = self._sim, group[0].start, group[0].ts_event
        for bar, prices in zip(group, paths, strict=True):
            sim.show_quote(self._quote(Shown(bar, step, prices[step]), at), at)
        parents, worked = sim.kernel.desk.parents, sim.kernel.books.working
        every = max(LOOK_NS, (end - start) // MOST_LOOKS)
        until = min(start + (end - start) * (step + 1) // 3, end) - 1
        sim.until(at)
        due = at + every
        while worked:
            awaited = parents.due_after(at)
            at = min(due, awaited) if awaited else due
            if at >= until:
                return
            if at == due:
                due += every
            sim.until(at)
            sim.take(sim.kernel.look_at_parents(at), at)
            sim.until(at)

    def _levels(self, shown: Shown) -> tuple[tuple[int, int], tuple[int, int]]:
        """Bid and ask around the price, and lots to be had at each."""
        lots = DEEP
        if self._share is not None:
            lots = room(shown.bar, shown.step, self._share, self._sim.traded[shown.bar.symbol])
        away = round(shown.price * self._half_spread)
        return (max(shown.price - away, 1), lots), (shown.price + away, lots)

    def _quote(self, shown: Shown, at: int) -> TopOfBook:
        """What the venue shows, as the kernel sees it."""
        (bid, bid_lots), (ask, ask_lots) = self._levels(shown)
        return TopOfBook(
            symbol=shown.bar.symbol,
            ts_event=at,
            ts_recv=at,
            update_id=at,
            bid=bid,
            bid_lots=bid_lots,
            ask=ask,
            ask_lots=ask_lots,
        )

    def _show(self, shown: Shown, at: int) -> None:
        """The venue shows a price: one level on each side, that others do not take away."""
        symbol = shown.bar.symbol
        self._shown[symbol] = shown
        bids, asks = self._books[symbol]
        bids.clear()
        asks.clear()
        bid, ask = self._levels(shown)
        book = BookSnapshot(symbol=symbol, ts_event=at, ts_recv=at, last_id=at, bids=(bid,), asks=(ask,))
        reports = self._sim.engine.on_snapshot(book)
        if reports:
            self._sim.deliver(reports, at)

    def _show_again(self, at: int) -> None:
        """The same prices, with what our orders have taken gone."""
        for shown in self._shown.values():
            self._show(shown, at)


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
