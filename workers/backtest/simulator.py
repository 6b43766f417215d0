"""The kernel on a simulated clock, with the matching engine of the paper venue at the other end of its orders.

The kernel is the one of paper and live trading; this host carries out its effects. Messages take the configured time:
``feed`` from the venue's event to the kernel, ``entry`` from an order to its turn at the venue, ``response`` from
there to the report. Everything that is on its way waits in one queue in order of arrival, first sent first among
equals, so that the same inputs always give the same journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from workers.backtest.chain import JournalChain
from workers.backtest.config import BacktestConfig, BacktestError, wide_limits
from workers.engine.config import DAY_NS, KernelConfig
from workers.engine.events import (
    BalanceAdopted,
    Bar,
    FeedStatus,
    Forecast,
    JournalEvent,
    MarketEvent,
    OrderAccepted,
    OrderEnded,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    OrderSent,
    ReconciliationDone,
    TopOfBook,
)
from workers.engine.execution.matching import MatchingEngine
from workers.engine.execution.matching_types import Accepted, Ended, Filled, NewOrder, Refused, Reports, Triggered
from workers.engine.instruments import Instrument, atoms
from workers.engine.kernel import Kernel
from workers.engine.ports import Cancel, Effects, Journal, RequestForecast, Send
from workers.engine.risk.limits import limits_digest
from workers.engine.strategy import Strategy, build, overrides
from workers.engine.vocabulary import FeedState, TradingState

VENUE: Final = "simulated"
RUN_ID: Final = "backtest"

SUBMIT, CANCEL, REPORT, MARKET, FORECAST, QUOTE = range(6)
Item = tuple[int, int, int, Any]
"""Time of arrival, number, kind, what arrives."""
Forecaster = Callable[[RequestForecast, int], Iterable[Forecast]]
"""Answers a request for forecasts, at the simulated time it was asked."""


class Simulator:
    """One run. ``start`` first; then a driver feeds it market events and time (see ``bars`` and ``books``)."""

    def __init__(
        self,
        config: BacktestConfig,
        instruments: Sequence[Instrument],
        *,
        bars: bool,
        forecaster: Forecaster | None = None,
    ) -> None:
        quotes = {instrument.quote for instrument in instruments}
        if len(quotes) != 1:
            raise BacktestError(f"expected instruments in one quote asset, was {sorted(quotes)}")
        self.config = config
        self.instruments = tuple(instruments)
        self.quote = quotes.pop()
        self.capital = atoms(config.capital, self.quote)
        self.journal = JournalChain()
        self.kernel = Kernel(
            KernelConfig(
                max_pause_ns=0,
                mark_interval_ns=DAY_NS if bars else config.sample_ns,
                peak_parts=0,
                denial_pause_ns=0,
            )
        )
        self.engine = MatchingEngine(instruments, {self.quote: self.capital})
        self.queue: list[Item] = []
        self.open: set[str] = set()
        """Client ids of the orders that the venue works."""
        self.traded: Counter[str] = Counter()
        """Lots of ours that the venue filled, by symbol; a driver of bars counts them from each open on."""
        self.opened = 0
        """When the present bar opened: orders that came while there was none have their turn then."""
        self.before_orders: Callable[[int], None] | None = None
        """Called with the time before the venue takes an order: a driver may bring its books up to date only then."""
        self.forecaster = forecaster
        self._number = 0
        entry, response, feed = config.latency.entry, config.latency.response, config.latency.feed
        self._entry = None if entry.zero else entry.model(config.seed * 3 + 1)
        self._response = None if response.zero else response.model(config.seed * 3 + 2)
        self.feed = None if feed.zero else feed.model(config.seed * 3 + 3)

    def start(self, now: int, interval_ns: int) -> Strategy[Any]:
        """Open the session at ``now`` with everything that live trading asks for, and start the run."""
        kernel, take = self.kernel, self.take
        limits = self.config.limits if self.config.limits is not None else wide_limits()
        symbols = [instrument.symbol for instrument in self.instruments]
        take(kernel.open_session(now, epoch=1, venue=VENUE, worker="backtest", instruments=self.instruments), now)
        take(kernel.activate_limits(now, version=1, digest=limits_digest(limits), limits=limits), now)
        self._tell(BalanceAdopted(ts=now, asset=self.quote, total=self.capital), now)
        self._tell(ReconciliationDone(ts=now, ok=True, orders_checked=0, fills_adopted=0, breaks=()), now)
        take(kernel.set_state(now, state=TradingState.ACTIVE, reason="backtest", by="backtest", control_version=1), now)
        plan = {
            "run_id": RUN_ID,
            "release": "backtest",
            "strategy": self.config.strategy,
            "params": self.config.params,
            "model_digest": self.config.model,
            "limits_version": 1,
            "instruments": symbols,
            "interval_ns": interval_ns,
        }
        take(kernel.start_run(now, plan), now)
        return build(self.config.strategy, self.config.params)

    def go_live(self, symbol: str, now: int) -> None:
        """The feed of ``symbol`` is trustworthy from ``now`` on; for drivers without a market view."""
        self.take(
            self.kernel.on_status(FeedStatus(symbol=symbol, ts_event=now, ts_recv=now, state=FeedState.LIVE), now), now
        )

    # -- kernel

    def take(self, effects: Effects, now: int) -> None:
        """Carry out what the kernel answered: first the journal, in order, then orders and cancels."""
        todo: list[Any] = []
        append = self.journal.append
        for effect in effects:
            if type(effect) is Journal:
                append(effect.event)
            else:
                todo.append(effect)
        for effect in todo:
            self._carry(effect, now)

    def _carry(self, effect: Any, now: int) -> None:
        if type(effect) is Send:
            self._tell(OrderSent(ts=now, client_id=effect.intent.client_id, stages={}), now)
            self._push(now + (self._entry.sample_ns() if self._entry else 0), SUBMIT, effect)
        elif type(effect) is Cancel:
            if self._entry is None and self._cancel(effect, now):
                return
            self._push(now + (self._entry.sample_ns() if self._entry else 0), CANCEL, effect)
        elif type(effect) is RequestForecast:
            if self.forecaster is None:
                raise BacktestError(
                    f"{self.config.strategy} asks for forecasts; give a forecaster (--model on the CLI)"
                )
            for forecast in self.forecaster(effect, now):
                self._push(max(now, forecast.made_at), FORECAST, forecast)

    def _push(self, at: int, kind: int, what: Any) -> None:
        self._number += 1
        heappush(self.queue, (at, self._number, kind, what))

    def later(self, at: int, event: MarketEvent) -> None:
        """Let the kernel see ``event`` at ``at``."""
        self._push(at, MARKET, event)

    def show_quote(self, quote: TopOfBook, at: int) -> None:
        """Let the kernel see a quote that was made for a moment of a bar."""
        if self.feed is None:
            self.take(self.kernel.on_quote(quote, at), at)
        else:
            self._push(at + self.feed.sample_ns(), QUOTE, quote)

    def _tell(self, event: JournalEvent, now: int) -> None:
        effects = self.kernel.on_report(event, now)
        if effects:
            self.take(effects, now)

    # -- time

    def until(self, now: int, *, submits: bool = True) -> None:
        """Let everything happen that is due by ``now``; with ``submits`` False, orders wait for the next call."""
        queue = self.queue
        held: list[Item] = []
        while queue and queue[0][0] <= now:
            item = heappop(queue)
            at, _, kind, what = item
            if kind == SUBMIT:
                if submits:
                    self._submit(what, at)
                else:
                    held.append(item)
            elif kind == REPORT:
                self._tell(what, at)
            elif kind == MARKET:
                self.take(self.kernel.on_market(what, at), at)
            elif kind == FORECAST:
                self.take(self.kernel.on_forecast(what, at), at)
            elif kind == QUOTE:
                self.take(self.kernel.on_quote(msgspec.structs.replace(what, ts_recv=at), at), at)
            else:
                self._cancel(what, at)
        for item in held:
            heappush(queue, item)

    # -- venue

    def _submit(self, send: Send, at: int) -> None:
        at = max(at, self.opened)
        if self.before_orders is not None:
            self.before_orders(at)
        self.deliver(self.engine.submit(_new_order(send.intent), at), at, client_id=send.intent.client_id)

    def _cancel(self, cancel: Cancel, at: int) -> bool:
        """Cancel at the venue; False while the order is still on its way there."""
        order = self.engine.find(cancel.client_id)
        if order is None:
            return False
        if order.status.is_open:
            self.deliver(self.engine.cancel(order.order_id, at), at)
        return True

    def deliver(self, reports: Sequence[Reports], at: int, *, client_id: str = "") -> None:
        """Send the venue's reports on their way to the kernel; a refusal is about ``client_id``."""
        for event in [self._event(report, at, client_id) for report in reports]:
            if self._response is None:
                self._tell(event, at)
            else:
                self._push(at + self._response.sample_ns(), REPORT, event)

    def _event(self, report: Reports, at: int, client_id: str) -> JournalEvent:
        """A report of the venue as the journal has it."""
        if isinstance(report, Refused):
            return OrderRejected(ts=at, client_id=client_id, code=report.refusal.value, message=report.detail)
        order = report.order
        if order.status.is_open:
            self.open.add(order.client_id)
        else:
            self.open.discard(order.client_id)
        if isinstance(report, Filled):
            self.traded[order.symbol] += report.lots
            return OrderFilled(
                ts=at,
                client_id=order.client_id,
                trade_id=report.trade_id,
                symbol=order.symbol,
                side=order.side,
                lots=report.lots,
                price=report.price,
                fee=report.fee,
                fee_asset=report.fee_asset,
                maker=report.maker,
                ts_event=at,
            )
        if isinstance(report, Accepted | Triggered):
            return OrderAccepted(ts=at, client_id=order.client_id, venue_order_id=str(order.order_id))
        if isinstance(report, Ended):
            return OrderEnded(ts=at, client_id=order.client_id, status=report.status, detail=report.reason.value)
        raise TypeError(f"expected a report of the matching engine, was {type(report).__name__}")


def _new_order(intent: OrderIntended) -> NewOrder:
    return NewOrder(
        client_id=intent.client_id,
        symbol=intent.symbol,
        side=intent.side,
        order_type=intent.order_type,
        tif=intent.tif,
        lots=intent.lots,
        price=intent.price,
        trigger=intent.trigger,
    )


def hears(strategy: Strategy[Any], *hooks: str) -> bool:
    """True when the strategy has one of the hooks."""
    return any(overrides(strategy, hook) for hook in hooks)


def delayed_bar(bar: Bar, at: int) -> Bar:
    """The bar as it is received at ``at``."""
    return Bar(
        symbol=bar.symbol,
        ts_event=bar.ts_event,
        ts_recv=at,
        start=bar.start,
        interval_ns=bar.interval_ns,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        trades=bar.trades,
    )
