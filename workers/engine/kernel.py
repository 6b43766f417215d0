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

Every call returns effects. An order leaves only if state is ACTIVE (or REDUCING and the order reduces), limits are in
force and confirmed, the books were reconciled in this session, and the feed is LIVE. A new journal starts HALTED.

After a restart ``recover`` leaves orders in INTENT or SENT as they were: the host asks the venue about each and reports
``OrderNotSent``, ``OrderAccepted``, ``OrderFilled`` or ``OrderEnded``. ``books.open_orders()`` lists them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from workers.engine import strategies as strategies  # noqa: PLC0414  registers the built-in strategies
from workers.engine.accounting.books import Books
from workers.engine.accounting.valuation import Valuation
from workers.engine.config import KernelConfig
from workers.engine.desk import Desk
from workers.engine.events import (
    BalanceAdopted,
    Bar,
    FeedChanged,
    FeedStatus,
    Forecast,
    JournalEvent,
    LimitsActivated,
    MarketEvent,
    OrderFilled,
    OrderIntended,
    ReconciliationDone,
    Record,
    RunStarted,
    RunStopped,
    SessionOpened,
    TopOfBook,
    Trade,
    TradingStateChanged,
)
from workers.engine.forecast_batch import ForecastBatch, closes_at
from workers.engine.instruments import Instrument
from workers.engine.market_state import MarketState
from workers.engine.portfolio.sizing import signal_of
from workers.engine.ports import Clock, Effects, RequestForecast, Resync
from workers.engine.risk.limits import LimitsError, parse_limits
from workers.engine.strategy import Strategy, StrategyError, build, overrides
from workers.engine.vocabulary import FeedState, TradingState

REMEMBERED_INTENTS: Final = 1000
"""Newest orders of the journal that message rate and duplicate window are told of after a restart."""


class RunError(ValueError):
    """A run that cannot be started: another is on, or its plan names what is not here."""


class Kernel:
    """See the module. Not for use from two threads."""

    def __init__(self, config: KernelConfig, clock: Clock | None = None) -> None:
        self.config = config
        self.books = Books()
        self.gaps = 0
        """How often the process was found to have been paused."""
        self.forecasts_refused = 0
        self.forecast_refusal = ""
        """What was wrong with the last forecast that was refused."""
        self._clock = clock
        self._max_pause = config.max_pause_ns
        self._desk = Desk(config, self.books, clock)
        self._strategy: Strategy[Any] | None = None
        self._last_intents: deque[OrderIntended] = deque(maxlen=REMEMBERED_INTENTS)
        self._due = 0
        self._breached = False
        self._interval = 0
        self._lookback = 0
        self._batch = ForecastBatch(config.forecast_grace_ns)
        self._hear_bar = self._hear_top = self._hear_trade = self._hear_timer = self._hear_order = False

    @property
    def desk(self) -> Desk:
        """What the strategy sees."""
        return self._desk

    @property
    def valuation(self) -> Valuation:
        """Books at the newest marks."""
        return self._desk.valuation

    # -- life

    def recover(self, records: Iterable[Record]) -> None:
        """Rebuild the books from the whole journal; only on a new kernel, and before ``open_session``."""
        books = self.books
        for record in records:
            books.apply(record.event)
            if type(record.event) is OrderIntended:
                self._last_intents.append(record.event)
        for line in books.lines.values():
            # A price from before the restart is no price: losses are judged once every position has a fresh mark.
            line.mark = 0
        self._desk.valuation = self._desk.risk.valuation = Valuation(books)

    def open_session(
        self, now: int, *, epoch: int, venue: str, worker: str, instruments: Sequence[Instrument]
    ) -> Effects:
        """Take the journal for this process; ``epoch`` must be above every earlier one.

        The run that was on goes on. Limits or a strategy of the journal that this version cannot use any more are left
        out: without limits nothing is ordered, and a run without its strategy is stopped.
        """
        if epoch <= self.books.epoch:
            raise ValueError(f"expected an epoch above {self.books.epoch}, was {epoch}")
        self._desk.now = now
        described = tuple(msgspec.to_builtins(instrument) for instrument in instruments)
        self._desk.record(SessionOpened(ts=now, epoch=epoch, venue=venue, worker=worker, instruments=described))
        self._desk.risk.reconciled = False
        self._desk.adopt_lines()
        self._resume_limits()
        self._resume_run(now)
        return self._effects()

    def start_run(self, now: int, plan: Mapping[str, Any]) -> Effects:
        """Start the plan's strategy. The same run again does nothing; RunError or StrategyError say what is wrong."""
        self._enter(now)
        run_id = str(plan["run_id"])
        if self.books.run is not None:
            if self.books.run.run_id == run_id:
                return self._effects()
            raise RunError(f"run {self.books.run.run_id} is on; stop it before starting {run_id}")
        if run_id in self.books.stopped_runs:
            raise RunError(f"run {run_id} was stopped, which is final; start a new run")
        missing = [symbol for symbol in plan["instruments"] if symbol not in self.books.lines]
        if missing or not plan["instruments"]:
            raise RunError(f"run {run_id} needs instruments of this venue, was {missing or 'none'}")
        strategy = build(plan["strategy"], plan["params"])
        self._desk.record(
            RunStarted(
                ts=now,
                run_id=run_id,
                release=str(plan["release"]),
                strategy=plan["strategy"],
                params=dict(plan["params"]),
                model_digest=str(plan.get("model_digest") or ""),
                limits_version=int(plan["limits_version"]),
                instruments=tuple(plan["instruments"]),
                interval_ns=int(plan["interval_ns"]),
            )
        )
        self._attach(strategy)
        return self._effects()

    def stop_run(self, now: int, *, reason: str) -> Effects:
        """Stop the strategy and cancel all open orders; positions stay as they are."""
        self._enter(now)
        if self.books.run is not None:
            self._cancel_all(f"run stopped: {reason}")
            self._desk.record(RunStopped(ts=now, run_id=self.books.run.run_id, reason=reason))
            self._detach()
        return self._effects()

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
        self._desk.record(LimitsActivated(ts=now, version=version, digest=digest, limits=dict(limits)))
        self._desk.risk.limits = parsed
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

    def cancel_all(self, now: int, *, reason: str, by: str) -> Effects:
        """Ask for the cancellation of every open order, also of those asked for before."""
        self._enter(now)
        self._cancel_all(f"{reason} ({by})")
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
        self._mark(market, market.take_top(top))
        if self._hear_top and market.traded and self._strategy is not None:
            self._strategy.on_top(self._desk, top)
        return self._effects()

    def confirm(self, symbol: str, ts: int) -> None:
        """The feed confirmed at ``ts`` that the best bid and ask still stand: the reference is as fresh as that."""
        market = self._desk.markets[symbol]
        if market.reference_ts:
            market.reference_ts = max(market.reference_ts, ts)

    def on_trade(self, trade: Trade, now: int) -> Effects:
        """Somebody traded."""
        self._enter(now)
        if self._hear_trade and self._strategy is not None and self._desk.markets[trade.symbol].traded:
            self._strategy.on_trade(self._desk, trade)
        return self._effects()

    def on_bar(self, bar: Bar, now: int) -> Effects:
        """A bar closed; it moves the mark only where no top of book is known."""
        self._enter(now)
        market = self._desk.markets[bar.symbol]
        if not market.has_top:
            market.reference = bar.close
            market.reference_ts = bar.ts_recv
            self._mark(market, bar.close)
        if bar.interval_ns == self._interval and bar.ts_event > market.bar_end:
            market.closes.append(bar.close)
            market.bar_end = bar.ts_event
            if self._hear_bar and market.traded and self._strategy is not None:
                self._strategy.on_bar(self._desk, bar)
            if self._lookback:
                self._batch.closed(bar.ts_event, now)
                self._ask_forecasts(now)
        return self._effects()

    def warm_bar(self, bar: Bar) -> None:
        """A bar from before the run: fills histories and indicators, orders nothing."""
        market = self._desk.markets[bar.symbol]
        if bar.ts_event <= market.bar_end or (self._interval and bar.interval_ns != self._interval):
            return
        market.closes.append(bar.close)
        market.bar_end = bar.ts_event
        if self._strategy is not None and market.traded:
            self._strategy.on_warm(bar)

    def on_status(self, status: FeedStatus, now: int) -> Effects:
        """The feed changed state. Anything but LIVE takes our resting orders off: nobody watches them."""
        self._enter(now)
        market = self._desk.markets[status.symbol]
        if status.session_id != market.session_id:
            if market.session_id:
                # A new session may open anywhere: neither prices nor forecasts of the old one carry over.
                market.forget()
                market.closes.clear()
            market.session_id = status.session_id
        market.closes_at = status.closes_at
        self._set_feed(market, status.state, status.detail)
        return self._effects()

    def on_forecast(self, forecast: Forecast, now: int) -> Effects:
        """A forecast came back; one that is not newer, of another model, or makes no sense is dropped."""
        self._enter(now)
        market, run = self._desk.markets.get(forecast.symbol), self.books.run
        if market is None or run is None or (run.model_digest and forecast.model_digest != run.model_digest):
            return self._effects()
        try:
            signal_of(forecast)
        except ValueError as error:
            self.forecasts_refused += 1
            self.forecast_refusal = str(error)
            return self._effects()
        if market.forecast is None or forecast.as_of > market.forecast.as_of:
            market.forecast = forecast
            if self._strategy is not None and market.traded:
                self._strategy.on_forecast(self._desk, forecast)
        return self._effects()

    # -- orders, time

    def on_report(self, event: JournalEvent, now: int) -> Effects:
        """Journal a report on an order, an adopted balance or a reconciliation; one that is known gives no effects."""
        self._enter(now)
        if not self.books.is_news(event):
            return self._effects()
        self._desk.record(event)
        if type(event) is ReconciliationDone:
            self._desk.risk.reconciled = event.ok
        elif type(event) is BalanceAdopted:
            self._watch_loss()
        elif type(event) is OrderFilled:
            self._watch_loss()
            if self._strategy is not None:
                self._strategy.on_fill(self._desk, event)
        if self._hear_order and self._strategy is not None:
            order = self.books.orders.get(getattr(event, "client_id", ""))
            if order is not None:
                self._strategy.on_order(self._desk, order)
        return self._effects()

    def on_timer(self, now: int) -> Effects:
        """Time passed; call it several times a second in live trading."""
        self._enter(now)
        if self._lookback:
            self._ask_forecasts(now)
        if self._hear_timer and self._strategy is not None:
            self._strategy.on_timer(self._desk)
        return self._effects()

    def on_gap(self, now: int) -> Effects:
        """The host found that it was paused: nothing known before may be traded on."""
        self._gap(now)
        return self._effects()

    def on_disconnect(self, now: int, *, reason: str) -> Effects:
        """The venue's order connection was lost: no orders until the books were reconciled again."""
        self._enter(now)
        if self._desk.risk.reconciled:
            self._desk.risk.reconciled = False
            lost = ReconciliationDone(
                ts=now, ok=False, orders_checked=0, fills_adopted=0, breaks=(reason,), compared=False
            )
            self._desk.record(lost)
        return self._effects()

    # -- inside

    def _effects(self) -> Effects:
        out = self._desk.out
        if not out:
            return ()
        self._desk.out = []
        return out

    def _enter(self, now: int) -> None:
        desk = self._desk
        if self._clock is not None:
            desk.entered = self._clock()
        if self._max_pause and desk.now and abs(now - desk.now) > self._max_pause:
            self._gap(now)
        desk.now = now
        if now >= self._due:
            self._sample(now)

    def _gap(self, now: int) -> None:
        desk = self._desk
        paused = now - desk.now if desk.now else 0
        self.gaps += 1
        desk.now = now
        desk.risk.reconciled = False
        desk.risk.limits_until = 0
        desk.risk.next_message = min(desk.risk.next_message, now)
        self._due = 0
        for market in desk.markets.values():
            self._set_feed(market, FeedState.STALE, f"process paused for {paused / 1e9:.1f} s")
            market.forget()
        desk.out.append(Resync(paused))

    def _set_feed(self, market: MarketState, state: FeedState, detail: str) -> None:
        changed = market.feed is not state
        market.feed = state
        if not changed:
            return
        self._desk.record(FeedChanged(ts=self._desk.now, symbol=market.symbol, state=state, detail=detail))
        if state is not FeedState.LIVE:
            self._desk.cancel_open(market.symbol, f"feed {state.value}")

    def _sample(self, now: int) -> None:
        """Journal the valuation when it is due; the first sample of a UTC day sets what the day's loss counts from."""
        valuation = self._desk.valuation
        if self.books.epoch and not valuation.unmarked:
            self._desk.record(valuation.sample(now))
            valuation.roll_day()
            self._due = min(now + self.config.mark_interval_ns, valuation.day_end)

    def _mark(self, market: MarketState, ticks: int) -> None:
        line = market.line
        if line.mark != ticks:
            self._desk.valuation.mark(line, ticks)
            if line.position:
                self._watch_loss()

    def _watch_loss(self) -> None:
        """Halt once when the day's loss or the drawdown reaches its limit; a person who resumes is not halted again."""
        lost = self._desk.valuation.watch(self._desk.risk.limits)
        if lost and not self._breached and self.books.state is not TradingState.HALTED:
            self._desk.record(self._desk.valuation.sample(self._desk.now))
            self._change_state(TradingState.HALTED, f"{lost} limit reached", "risk", 0)
        self._breached = bool(lost)

    def _change_state(self, state: TradingState, reason: str, by: str, control_version: int) -> None:
        self._desk.record(
            TradingStateChanged(ts=self._desk.now, state=state, reason=reason, by=by, control_version=control_version)
        )
        if state is TradingState.HALTED:
            self._cancel_all(f"halted: {reason}")

    def _cancel_all(self, reason: str) -> None:
        for order in self.books.open_orders():
            self._desk.request_cancel(order, reason)

    def _instruments(self) -> list[Instrument]:
        return [line.instrument for line in self.books.lines.values()]

    def _resume_limits(self) -> None:
        risk, books = self._desk.risk, self.books
        if books.limits is not None:
            try:
                risk.limits = parse_limits(books.limits_version, books.limits, self._instruments())
            except LimitsError:
                risk.limits = None
        for intent in self._last_intents:
            risk.note(intent)
        self._last_intents.clear()

    def _resume_run(self, now: int) -> None:
        run = self.books.run
        if run is None:
            return
        try:
            strategy = build(run.strategy, run.params)
        except StrategyError as error:
            self._desk.record(RunStopped(ts=now, run_id=run.run_id, reason=str(error)))
        else:
            self._attach(strategy)

    def _attach(self, strategy: Strategy[Any]) -> None:
        run = self.books.run
        self._strategy = strategy
        self._interval = run.interval_ns if run else 0
        self._lookback = strategy.lookback
        self._hear_bar = overrides(strategy, "on_bar")
        self._hear_top = overrides(strategy, "on_top")
        self._hear_trade = overrides(strategy, "on_trade")
        self._hear_timer = overrides(strategy, "on_timer")
        self._hear_order = overrides(strategy, "on_order")
        self._mark_traded()
        strategy.on_start(self._desk)

    def _detach(self) -> None:
        self._strategy = None
        self._lookback = self._interval = 0
        for market in self._desk.markets.values():
            market.closes.clear()
            market.bar_end = 0
        self._hear_bar = self._hear_top = self._hear_trade = self._hear_timer = self._hear_order = False
        self._mark_traded()

    def _mark_traded(self) -> None:
        run = self.books.run
        for symbol, market in self._desk.markets.items():
            market.traded = run is not None and symbol in run.instruments

    def _ask_forecasts(self, now: int) -> None:
        traded = [market for market in self._desk.markets.values() if market.traded]
        as_of = self._batch.due(traded, now)
        run = self.books.run
        closes = closes_at(traded, as_of, self._lookback) if as_of else None
        if closes and run is not None:
            self._desk.out.append(RequestForecast(as_of, self._interval, run.model_digest, closes))
