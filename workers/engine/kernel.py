"""The trading kernel: one synchronous, deterministic core for backtest, paper and live trading.

It performs no input or output and reads no clock. The host gives it inputs with the time (``now``, our wall clock in
ns) and carries out, in order, the effects that each input answers with (see ``ports``)::

    kernel = Kernel(KernelConfig(), clock=time.perf_counter_ns)       # clock only times the stages of orders
    kernel.recover(records)                                           # after a restart: the whole journal
    kernel.open_session(now, epoch=epoch, venue="paper", worker="execution", instruments=instruments)
    kernel.activate_limits(now, version=3, digest=digest, limits=limits)   # and confirm_limits(now, version=3) often
    kernel.on_report(ReconciliationDone(...), now)                    # after comparing orders, fills and balances
    kernel.set_state(now, state=TradingState.ACTIVE, reason=..., by=..., control_version=1)
    kernel.start_run(now, plan)                                       # the plan frozen on the deployment's run
    kernel.warm_bar(bar)                                              # history, oldest first; gives no orders

    kernel.on_top(top, now)      kernel.on_bar(bar, now)          kernel.on_trade(trade, now)
    kernel.confirm(symbol, ts)       # the quote is unchanged, and was confirmed by the feed at ts
    kernel.on_status(status, now)   kernel.on_forecast(forecast, now)   kernel.on_timer(now)
    kernel.on_report(event, now)     # OrderSent, OrderAccepted, OrderFilled, OrderEnded, OrderUnknown ...
    kernel.cancel_all(now, reason=..., by=...)   kernel.stop_run(now, reason=...)   kernel.on_gap(now)
    kernel.set_scopes(now, scopes)   kernel.cancel_some(now, selection=...)   kernel.set_overrides(now, overrides)
    kernel.start_parent(now, request, parent_id=..., by=...)   kernel.cancel_parent(now, parent_id=..., reason=...)

Every call returns effects. An order leaves only if state is ACTIVE (or REDUCING and the order reduces), limits are in
force and confirmed, the books were reconciled in this session, and the feed is LIVE. A new journal starts HALTED.

After a restart ``recover`` leaves orders in INTENT or SENT as they were: the host asks the venue about each and reports
``OrderNotSent``, ``OrderAccepted``, ``OrderFilled`` or ``OrderEnded``. ``books.open_orders()`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.engine import strategies as strategies  # noqa: PLC0414  registers the built-in strategies
from workers.engine.active_run import ActiveRun
from workers.engine.events import (
    BalanceAdopted,
    Bar,
    CancelsTaken,
    FeedStatus,
    Forecast,
    JournalEvent,
    LimitsActivated,
    MarketEvent,
    OrderFilled,
    ReconciliationDone,
    TopOfBook,
    Trade,
)
from workers.engine.execution.parent import ParentRequest
from workers.engine.execution.routing.dark import follow
from workers.engine.forecast_batch import closes_at
from workers.engine.kernel_gate import KernelGate
from workers.engine.kernel_life import RunError
from workers.engine.market_state import MarketState
from workers.engine.portfolio.move import carry_on
from workers.engine.portfolio.sizing import signal_of
from workers.engine.ports import Effects, RequestForecast
from workers.engine.risk.limits import LimitsError, parse_limits
from workers.engine.vocabulary import FeedState, TradingState

__all__ = ["Kernel", "RunError"]


class Kernel(KernelGate):
    """See the module. Not for use from two threads."""

    # -- control

    def set_state(self, now: int, *, state: TradingState, reason: str, by: str, control_version: int) -> Effects:
        """Take the control plane's decision; one that is not newer than the last taken does nothing."""
        self._enter(now)
        if control_version > self.books.control_version:
            self._change_state(state, reason, by, control_version)
        return self._effects()

    def activate_limits(self, now: int, *, version: int, digest: str, limits: Mapping[str, Any]) -> Effects:
        """Put published limits in force; LimitsError when a field or the digest is wrong, and the old ones stay."""
        self._enter(now)
        known = self.books.limits_version == version and self.books.limits_digest == digest
        if known and self._desk.risk.limits is not None:
            return self.confirm_limits(now, version=version)
        parsed = parse_limits(version, limits, self._instruments())
        if digest != parsed.digest:
            raise LimitsError("digest", f"expected {parsed.digest} for version {version}, was {digest}")
        self._refuse_escape(parsed)
        self._desk.record(LimitsActivated(ts=now, version=version, digest=digest, limits=dict(limits)))
        self._desk.risk.take_limits(parsed)
        self._desk.risk.limits_until = now + parsed.snapshot_max_age_ns
        self._watch_loss()
        return self._effects()

    def confirm_limits(self, now: int, *, version: int) -> Effects:
        """The control plane said that ``version`` is still the one in force; without that, limits grow stale."""
        self._enter(now)
        risk = self._desk.risk
        if risk.limits is not None and risk.limits.version == version:
            risk.limits_until = now + risk.limits.snapshot_max_age_ns
        return self._effects()

    def cancel_all(
        self, now: int, *, reason: str, by: str, parents: bool = True, version: int | None = None
    ) -> Effects:
        """Ask for the cancellation of every open order, also of those asked for before.

        Parent orders end, or, without ``parents``, go on with the next session. One with a ``version`` of the control
        plane that is not newer than the last acted upon, in this session or an earlier one, does nothing.
        """
        self._enter(now)
        if version is not None and version <= self.books.cancels.version:
            return self._effects()
        self._cancel_all(f"{reason} ({by})", parents=parents)
        if version is not None:
            # Behind the cancellations: a crash in between repeats them rather than losing them.
            self._desk.record(CancelsTaken(ts=now, version=version))
        return self._effects()

    def start_parent(
        self, now: int, request: ParentRequest, *, parent_id: str, by: str, cancelled: str = ""
    ) -> Effects:
        """Work a parent order for a person; the same id again does nothing. ValueError for an unknown instrument.

        One that was ``cancelled`` before it got here is only recorded, with that reason.
        """
        self._enter(now)
        if not self._desk.parents.start(request, parent_id=parent_id, run_id="", by=by, cancelled=cancelled):
            known = ", ".join(sorted(self.books.lines))
            raise ValueError(
                f"parent {parent_id} is in {request.symbol}, which the venue does not list; known: {known}"
            )
        return self._effects()

    def cancel_parent(self, now: int, *, parent_id: str, reason: str) -> Effects:
        """End a parent order; one that is over, being ended or unknown stays as it is."""
        self._enter(now)
        self._desk.parents.cancel(parent_id, reason)
        return self._effects()

    # -- market

    def on_market(self, event: MarketEvent, now: int) -> Effects:
        """Any market event, dispatched by its type; TypeError for one that belongs to the book builder."""
        if type(event) is TopOfBook:
            return self.on_top(event, now)
        if type(event) is Bar:
            return self.on_bar(event, now)
        if type(event) is Trade:
            return self.on_trade(event, now)
        if type(event) is FeedStatus:
            return self.on_status(event, now)
        raise TypeError(f"expected TopOfBook, Bar, Trade or FeedStatus, was {type(event).__name__}")

    def on_top(self, top: TopOfBook, now: int) -> Effects:
        """Best bid and ask changed; moves the mark to their middle."""
        self._enter(now)
        market = self._desk.markets[top.symbol]
        market.has_top = True
        self._mark(market, market.take_quote(top))
        if self._desk.shades:
            for dark in self._desk.shades.get(top.symbol, ()):
                self._mark(dark, follow(market, dark))
        if market.held:
            self._desk.conditionals.on_top(market)
        active = self._by_symbol.get(top.symbol)
        if active is not None and active.hears_top:
            self._ask(active).on_top(self._desk, top)
        if self.books.working:
            self._desk.parents.on_market(top.symbol)
        return self._effects()

    def on_quote(self, quote: TopOfBook, now: int) -> Effects:
        """A quote that a backtest makes for a moment of a bar.

        It is for parent orders and the gate alone: no strategy hears of it, no mark moves, no stop is released. It
        stands until the bar closes.
        """
        self._enter(now)
        self._desk.markets[quote.symbol].take_quote(quote)
        if self.books.working:
            self._desk.parents.on_market(quote.symbol)
        return self._effects()

    def look_at_parents(self, now: int) -> Effects:
        """Let parents do what is due by ``now``; ``on_timer`` does so too, and more."""
        self._enter(now)
        if self._desk.parents.busy:
            self._desk.parents.on_time()
        return self._effects()

    def confirm(self, symbol: str, ts: int) -> None:
        """The feed confirmed at ``ts`` that the best bid and ask still stand: the reference is as fresh as that."""
        for market in (self._desk.markets[symbol], *self._desk.shades.get(symbol, ())):
            if market.reference_ts:
                market.reference_ts = max(market.reference_ts, ts)

    def on_trade(self, trade: Trade, now: int) -> Effects:
        """Somebody traded."""
        self._enter(now)
        if self._desk.risk.follows_volume:
            self._count_trade(trade)
        market = self._desk.markets[trade.symbol]
        if market.held:
            self._desk.conditionals.on_trade(market, trade)
        active = self._by_symbol.get(trade.symbol)
        if active is not None and active.hears_trade:
            self._ask(active).on_trade(self._desk, trade)
        if self.books.working:
            self._desk.parents.on_trade(trade)
        return self._effects()

    def on_bar(self, bar: Bar, now: int) -> Effects:
        """A bar closed; it moves the mark, and ends a quote made for it, only where no top of book is known."""
        self._enter(now)
        desk = self._desk
        market = desk.markets[bar.symbol]
        if not market.has_top:
            market.reference = bar.close
            market.reference_ts = bar.ts_recv
            self._mark(market, bar.close)
            if market.bid:
                market.bid = market.ask = market.bid_lots = market.ask_lots = 0
            if market.held:
                desk.conditionals.on_bar(market, bar)
        if bar.interval_ns == self._interval and bar.ts_event > market.bar_end:
            market.closes.append(bar.close)
            market.bar_end = bar.ts_event
            if desk.risk.follows_bars:
                self._follow_bar(bar)
            active = self._by_symbol.get(bar.symbol)
            if active is not None:
                self._tell_bar(active, market, bar, now)
        if self.books.working:
            desk.parents.on_bar(bar)
        return self._effects() if desk.out else ()

    def _tell_bar(self, active: ActiveRun, market: MarketState, bar: Bar, now: int) -> None:
        if active.hears_bar:
            self._ask(active).on_bar(self._desk, bar)
        if market.move is not None:
            self._ask(active)
            carry_on(self._desk, market)
        if active.lookback:
            active.batch.closed(bar.ts_event, now)
            self._ask_forecasts(active, now)

    def warm_bar(self, bar: Bar) -> None:
        """A bar from before the run: fills histories and indicators, orders nothing."""
        market = self._desk.markets[bar.symbol]
        if bar.ts_event <= market.bar_end or (self._interval and bar.interval_ns != self._interval):
            return
        market.closes.append(bar.close)
        market.bar_end = bar.ts_event
        active = self._by_symbol.get(bar.symbol)
        if active is not None:
            active.strategy.on_warm(bar)

    def on_status(self, status: FeedStatus, now: int) -> Effects:
        """The feed changed state. Anything but LIVE takes our resting orders off: nobody watches them."""
        self._enter(now)
        market = self._desk.markets[status.symbol]
        if status.session_id and status.session_id != market.session_id:
            if market.session_id:
                # A new session may open anywhere: neither prices, forecasts nor orders of the old one carry over.
                self._set_feed(market, FeedState.STALE, f"session {market.session_id} ended")
                market.forget(now)
                market.closes.clear()
            market.session_id = status.session_id
        market.closes_at = status.closes_at
        self._set_feed(market, status.state, status.detail)
        return self._effects()

    def on_forecast(self, forecast: Forecast, now: int) -> Effects:
        """A forecast came back; one that is not newer, of other bars, another model or no sense is dropped."""
        self._enter(now)
        active = self._by_symbol.get(forecast.symbol)
        if active is None or forecast.interval_ns != self._interval:
            return self._effects()
        market, wanted = self._desk.markets[forecast.symbol], active.run.model_digest
        if wanted and forecast.model_digest != wanted:
            return self._effects()
        try:
            signal_of(forecast)
        except ValueError as error:
            self.forecasts_refused += 1
            self.forecast_refusal = str(error)
            return self._effects()
        newest = market.forecast.as_of if market.forecast is not None else market.forecasts_from
        if forecast.as_of > newest:
            market.forecast = forecast
            self._ask(active).on_forecast(self._desk, forecast)
        return self._effects()

    # -- orders, time

    def on_report(self, event: JournalEvent, now: int) -> Effects:
        """Journal a report on an order, an adopted balance or a reconciliation; one that is known gives no effects."""
        self._enter(now)
        if not self.books.is_news(event):
            return self._effects()
        self._desk.record(event)
        if type(event) is ReconciliationDone:
            venues = self._desk.risk.reconciled_at
            (venues.add if event.ok else venues.discard)(event.venue or self.books.venue)
        elif type(event) is BalanceAdopted or type(event) is OrderFilled:
            self._watch_loss()
        filled = self.books.lines.get(event.symbol) if type(event) is OrderFilled else None
        # A fill concerns those that are held, and reduce-only orders that the position may not cover any more.
        if self.books.conditionals.all or (filled is not None and filled.open):
            self._desk.conditionals.on_report(event)
        order = self.books.orders.get(getattr(event, "client_id", ""))
        active = self._by_symbol.get(getattr(event, "symbol", order.symbol if order is not None else ""))
        if active is not None and type(event) is OrderFilled:
            self._ask(active).on_fill(self._desk, event)
        if active is not None and active.hears_order and order is not None:
            self._ask(active).on_order(self._desk, order)
        if self.books.working and order is not None and order.parent_id:
            self._desk.parents.on_child(order)
        return self._effects()

    def on_timer(self, now: int) -> Effects:
        """Time passed; call it several times a second in live trading."""
        self._enter(now)
        for active in list(self._runs.values()):
            if active.lookback:
                self._ask_forecasts(active, now)
            if active.hears_timer:
                self._ask(active).on_timer(self._desk)
        if self._desk.parents.busy:
            self._desk.parents.on_time()
        return self._effects()

    def on_gap(self, now: int) -> Effects:
        """The host found that it was paused: nothing known before may be traded on."""
        self._gap(now)
        return self._effects()

    def on_disconnect(self, now: int, *, reason: str, venue: str = "") -> Effects:
        """The order connection to ``venue``, or to all for ``""``, was lost: no orders there until reconciled again."""
        self._enter(now)
        home, known = self.books.venue, self._desk.risk.reconciled_at
        for lost in sorted(known if not venue else known & {venue}):
            known.discard(lost)
            self._desk.record(
                ReconciliationDone(
                    ts=now,
                    ok=False,
                    orders_checked=0,
                    fills_adopted=0,
                    breaks=(reason,),
                    compared=False,
                    venue="" if lost == home else lost,
                )
            )
        return self._effects()

    # -- inside

    def _ask_forecasts(self, active: ActiveRun, now: int) -> None:
        traded = [market for market in self._desk.markets.values() if market.run is active.run]
        as_of = active.batch.due(traded, now)
        closes = closes_at(traded, as_of, active.lookback) if as_of else None
        if closes:
            self._desk.out.append(RequestForecast(as_of, self._interval, active.run.model_digest, closes))
