"""What a kernel is made of, and how it begins, recovers, takes a run and lets go of it.

``kernel.Kernel`` adds the inputs: control, market, reports and time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from workers.engine.accounting.books import Books
from workers.engine.accounting.records import Run
from workers.engine.accounting.valuation import Valuation
from workers.engine.active_run import ActiveRun
from workers.engine.config import KernelConfig
from workers.engine.desk import Desk
from workers.engine.events import (
    FeedChanged,
    OrderIntended,
    Record,
    RunStarted,
    RunStopped,
    SessionOpened,
    TradingStateChanged,
)
from workers.engine.execution.closing import closable
from workers.engine.folded import REMEMBERED_INTENTS, Folded, State
from workers.engine.instruments import Instrument
from workers.engine.market_state import MarketState
from workers.engine.ports import Clock, Effects, Resync
from workers.engine.risk.limits import LimitsError, parse_limits
from workers.engine.strategy import Strategy, StrategyError, build
from workers.engine.vocabulary import FeedState, Side, TradingState


class RunError(ValueError):
    """A run that cannot be started: another is on, or its plan names what is not here."""


class KernelLife:
    """State and life of a kernel; see ``kernel``. Not for use from two threads."""

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
        self._runs: dict[str, ActiveRun] = {}
        self._by_symbol: dict[str, ActiveRun] = {}
        self._last_intents: deque[OrderIntended] = deque(maxlen=REMEMBERED_INTENTS)
        self.began: dict[str, int] = {}
        """When the books of each venue began, ns; home is ""."""
        self.recovered_until = 0
        """Time of the last record that this process found in the journal, ns; 0 for a new journal."""
        self.cancels_unknown = True
        """The journal that was found says nothing of orders to cancel: it is new, or of a version that kept none."""
        self._due = 0
        self._breached = False
        self._interval = 0
        """Length of the bars of all runs, 0 while none is on."""

    @property
    def desk(self) -> Desk:
        """What the strategy sees."""
        return self._desk

    @property
    def valuation(self) -> Valuation:
        """Books at the newest marks."""
        return self._desk.valuation

    # -- life

    def recover(self, records: Iterable[Record], state: State | None = None) -> None:
        """Rebuild the books from the whole journal, or from a snapshot's ``state`` and the records behind it.

        Only on a new kernel, and before ``open_session``.
        """
        books = self.books
        folded = Folded(books, self._desk.risk.ledger, self._desk.routes)
        if state is not None:
            folded.restore(state)
        for record in records:
            folded.apply(record.event)
        self._last_intents.extend(folded.intents)
        self.recovered_until, self.began = folded.until, folded.began
        self.cancels_unknown = books.cancels.version < 0
        for line in books.lines.values():
            # A price from before the restart is no price: losses are judged once every position has a fresh mark.
            line.mark = 0
        self._desk.valuation = self._desk.risk.valuation = Valuation(books)

    def open_session(
        self, now: int, *, epoch: int, venue: str, worker: str, instruments: Sequence[Instrument]
    ) -> Effects:
        """Take the journal for this process; ``epoch`` must be above every earlier one.

        The runs that were on go on. Limits or a strategy of the journal that this version cannot use any more are left
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
        self._resume_runs(now)
        self._desk.conditionals.resume()
        return self._effects()

    def join_venue(self, now: int, *, worker: str, instruments: Sequence[Instrument]) -> Effects:
        """Take in the instruments of a venue that answered after the session had begun; nothing else changes.

        BooksError for what cannot belong to this account, such as a second quote asset; nothing has changed then.
        """
        self._enter(now)
        books = self.books
        described = tuple(msgspec.to_builtins(instrument) for instrument in instruments)
        opened = SessionOpened(ts=now, epoch=books.epoch, venue=books.venue, worker=worker, instruments=described)
        self._desk.record(opened)
        self._desk.adopt_lines()
        for active in self._runs.values():
            self._give_markets(active)
        self._parse_limits()
        return self._effects()

    def start_run(self, now: int, plan: Mapping[str, Any]) -> Effects:
        """Start the plan's strategy beside those that are on, on instruments that none of them trades.

        The same run again does nothing; RunError or StrategyError say what is wrong.
        """
        self._enter(now)
        run_id = str(plan["run_id"])
        if run_id in self.books.runs:
            return self._effects()
        if run_id in self.books.stopped_runs:
            raise RunError(f"run {run_id} was stopped, which is final; start a new run")
        missing = [symbol for symbol in plan["instruments"] if symbol not in self.books.lines]
        if missing or not plan["instruments"]:
            raise RunError(f"run {run_id} needs instruments of this venue, was {missing or 'none'}")
        for symbol in plan["instruments"]:
            owner = self.books.run_of(symbol)
            if owner is not None:
                raise RunError(f"run {owner.run_id} trades {symbol}; stop it before starting {run_id}, or leave it out")
        if self._interval not in (0, int(plan["interval_ns"])):
            expected = f"expected bars of {self._interval} ns as in the runs that are on"
            raise RunError(f"run {run_id}: {expected}, was {plan['interval_ns']} ns")
        strategy = build(plan["strategy"], plan["params"])
        share = Decimal(plan["capital_share"]) if "capital_share" in plan else None
        if share is not None and not 0 < share <= 1:
            raise RunError(f"run {run_id}: expected a capital share above 0 and up to 1, was {share}")
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
                capital_share=share,
            )
        )
        self._attach(self.books.runs[run_id], strategy)
        return self._effects()

    def stop_run(self, now: int, *, reason: str, run_id: str = "") -> Effects:
        """Stop the run, or every run, and cancel its open orders; positions stay as they are."""
        self._enter(now)
        for one in [run_id] if run_id else list(self.books.runs):
            if one in self.books.runs:
                self._cancel_all(f"run stopped: {reason}", run_id=one)
                self._desk.record(RunStopped(ts=now, run_id=one, reason=reason))
                self._detach(one)
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
        if now >= desk.conditionals.due:
            desk.conditionals.on_time(now)

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
            market.forget(now)
        desk.out.append(Resync(paused))

    def _set_feed(self, market: MarketState, state: FeedState, detail: str) -> None:
        changed = market.feed is not state
        market.feed = state
        if not changed:
            return
        self._desk.record(FeedChanged(ts=self._desk.now, symbol=market.symbol, state=state, detail=detail))
        if state is not FeedState.LIVE:
            for order in list(market.line.open.values()):
                # A stop that the venue watches needs no feed of ours.
                if not order.protects:
                    self._desk.cancel(order.client_id, f"feed {state.value}")

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
            valuation = self._desk.valuation
            blind = valuation.unmarked
            valuation.mark(line, ticks)
            # The first price of an instrument with nothing but open orders can be what the profit was unknown for.
            if line.position or line.unpriced or blind or self._desk.risk.follows_losses:
                self._watch_loss()

    def _watch_loss(self) -> None:
        """Halt once when the day's loss or the drawdown reaches its limit; a person who resumes is not halted again."""
        valuation, limits, parts = self._desk.valuation, self._desk.risk.limits, self.config.peak_parts
        lost = valuation.watch(limits)
        if parts and limits is not None and (valuation.peak - self.books.peak) * parts >= limits.max_drawdown:
            # Journalled with the next input: after a crash the drawdown counts from here.
            self._due = 0
        if lost and not self._breached and self.books.state is not TradingState.HALTED:
            self._desk.record(self._desk.valuation.sample(self._desk.now))
            self._change_state(TradingState.HALTED, f"{lost} limit reached", "risk", 0)
        self._breached = bool(lost)
        if self._desk.risk.follows_losses:
            self._watch_scopes()

    def _watch_scopes(self) -> None:
        """Follow the losses of scopes, where limits bound them; ``KernelGate`` knows how."""

    def _change_state(self, state: TradingState, reason: str, by: str, control_version: int) -> None:
        self._desk.record(
            TradingStateChanged(ts=self._desk.now, state=state, reason=reason, by=by, control_version=control_version)
        )
        if state is TradingState.HALTED:
            self._cancel_all(f"halted: {reason}")
        elif state is TradingState.REDUCING:
            self._cancel_entries(f"reducing: {reason}")

    def _cancel_entries(self, reason: str) -> None:
        """Cancel what could make a position larger; of what closes it, the oldest orders stay, up to its size."""
        for line in self.books.lines.values():
            room = {Side.SELL: max(line.position, 0), Side.BUY: max(-line.position, 0)}
            for order in sorted(line.open.values(), key=lambda order: order.created):
                atoms = order.remaining * line.lot_atoms
                if atoms <= room[order.side]:
                    room[order.side] -= atoms
                elif not order.reduce_only:
                    self._desk.request_cancel(order, reason)
        for parent in tuple(self.books.working.values()):
            if not parent.reduce_only and parent.remaining > closable(self._desk, parent):
                self._desk.cancel_parent(parent.parent_id, reason)
        for held in self._desk.conditionals.live():
            # Each against the whole position: those that exclude each other would take it from one another.
            if not held.reduce_only and held.lots > self._closable(held.symbol, held.side):
                self._desk.cancel(held.client_id, reason)

    def _closable(self, symbol: str, side: Side) -> int:
        """Whole lots of the position that an order of ``side`` may close."""
        return max(-side * self._desk.position(symbol), 0)

    def _cancel_all(self, reason: str, *, parents: bool = True, run_id: str | None = None) -> None:
        """Cancel open orders and end parents; with ``run_id`` only what belongs to that run.

        Without ``parents`` this session alone ends: those go on later, and stops at the venue protect meanwhile.
        """
        for order in self.books.open_orders():
            # Of no run that is on, and nobody's parent: left over from an earlier one.
            stray = not order.parent_id and order.run_id not in self.books.runs
            kept = not parents and order.protects
            if not kept and (run_id is None or order.run_id == run_id or stray):
                self._desk.request_cancel(order, reason)
        if parents:
            self._desk.parents.cancel_all(reason, run_id=run_id)
            self._desk.conditionals.cancel_all(reason, run_id=run_id)

    def _instruments(self) -> list[Instrument]:
        return [line.instrument for line in self.books.lines.values()]

    def _parse_limits(self) -> None:
        """Limits of the journal for the instruments that are known now; without any where they cannot be used."""
        risk, books = self._desk.risk, self.books
        if books.limits is not None:
            try:
                risk.take_limits(parse_limits(books.limits_version, books.limits, self._instruments()))
            except LimitsError:
                risk.take_limits(None)

    def _resume_limits(self) -> None:
        self._parse_limits()
        risk = self._desk.risk
        for intent in self._last_intents:
            risk.note(intent)
        self._last_intents.clear()

    def _resume_runs(self, now: int) -> None:
        for run in list(self.books.runs.values()):
            try:
                strategy = build(run.strategy, run.params)
            except StrategyError as error:
                self._cancel_all(f"run stopped: {error}", run_id=run.run_id)
                self._desk.record(RunStopped(ts=now, run_id=run.run_id, reason=str(error)))
            else:
                self._attach(run, strategy)

    def _attach(self, run: Run, strategy: Strategy[Any]) -> None:
        self._interval = run.interval_ns
        self._runs[run.run_id] = active = ActiveRun(run, strategy, self.config.forecast_grace_ns)
        self._give_markets(active)
        self._ask(active).on_start(self._desk)

    def _give_markets(self, active: ActiveRun) -> None:
        """Let the run hear of its instruments, as far as their venues have answered."""
        for symbol in active.run.instruments:
            market = self._desk.markets.get(symbol)
            if market is not None and market.run is None:
                market.run = active.run
                self._by_symbol[symbol] = active
                # What an earlier run asked for is not this one's.
                market.forecasts_from = self._desk.now

    def _detach(self, run_id: str) -> None:
        gone = self._runs.pop(run_id, None)
        for symbol in gone.run.instruments if gone is not None else ():
            if self._by_symbol.pop(symbol, None) is not None:
                market = self._desk.markets[symbol]
                market.closes.clear()
                market.bar_end = 0
                market.forecast = market.run = market.move = None
        last = next(reversed(self._runs.values()), None)
        self._desk.run = last.run if last is not None else None
        if last is None:
            self._interval = 0

    def _ask(self, active: ActiveRun) -> Strategy[Any]:
        """The strategy, after the desk was told whose orders come now."""
        self._desk.run = active.run
        return active.strategy
