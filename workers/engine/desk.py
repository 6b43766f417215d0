"""What a strategy sees and may do; also where every order passes the gate and gets its durable intent.

The desk records: an event goes into the books and onto the list of effects in one step, so that books and journal
cannot part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from workers.engine.accounting.books import Books
from workers.engine.accounting.records import WHOLE, Run
from workers.engine.accounting.valuation import Valuation
from workers.engine.config import KernelConfig
from workers.engine.events import CancelRequested, Forecast, JournalEvent, OrderDenied, OrderIntended
from workers.engine.execution.client_ids import client_order_id
from workers.engine.execution.conditional import Conditionals
from workers.engine.execution.conditional_place import Bracket, Oco, hold, replace
from workers.engine.execution.conditional_types import Conditional, ConditionalRequest
from workers.engine.execution.order_terms import Terms, is_plain, terms_of
from workers.engine.execution.orders import Order
from workers.engine.execution.parent import Parent, ParentRequest
from workers.engine.execution.parents import Parents
from workers.engine.execution.routing.dark import shades
from workers.engine.execution.routing.record import RouteRecord
from workers.engine.instruments import Instrument
from workers.engine.market.venues import Feature
from workers.engine.market_state import MarketState
from workers.engine.portfolio.plan import Room, largest_order, largest_position
from workers.engine.ports import Cancel, Clock, Depth, Effect, Journal, Send
from workers.engine.risk.gate import OrderRequest, RiskState, Verdict, check
from workers.engine.risk.limits import Limits
from workers.engine.risk.scopes import Place, covers, desks_of
from workers.engine.vocabulary import Reason, Side, TradingState


class Desk:
    """Handed to every hook of a strategy. ``now`` is our clock in ns."""

    def __init__(self, config: KernelConfig, books: Books, clock: Clock | None) -> None:
        self.config = config
        self.books = books
        self.now = 0
        self.entered = 0
        """Stage clock when the current input came in."""
        self.out: list[Effect] = []
        self.run: Run | None = None
        """The run whose strategy is being asked; its orders are that run's."""
        self.suppressed = 0
        """Orders not proposed because the same side had just been denied."""
        self._clock = clock
        self.markets: dict[str, MarketState] = {}
        self.valuation = Valuation(books)
        self.routes = RouteRecord(books)
        self.depth: Depth | None = None
        """The host's books in depth, for the router; without them it sees the touch alone."""
        self.shades: dict[str, tuple[MarketState, ...]] = {}
        """Markets of dark venues by the symbol whose middle they cross at."""
        self.risk = RiskState(books, self.valuation, self.markets)
        self.parents = Parents(self)
        self.conditionals = Conditionals(self)
        self._remembered = self.risk.ledger.remembered
        self.on_throttle: Callable[[str], None] = lambda _strategy: None
        """Told of a strategy that repeats itself too often; the kernel halts it."""
        self.adopt_lines()

    def adopt_lines(self) -> None:
        """Give every line of the books a market, after instruments were registered."""
        for symbol, line in self.books.lines.items():
            if symbol not in self.markets:
                self.markets[symbol] = market = MarketState(line)
                market.held = self.books.conditionals.of(symbol)
        self.shades = shades(self)

    # -- what a strategy sees

    @property
    def limits(self) -> Limits | None:
        """Limits in force."""
        return self.risk.limits

    @property
    def equity(self) -> int:
        """Worth of the account in money units of the quote asset."""
        return self.valuation.equity

    @property
    def capital(self) -> int:
        """What the run sizes by: its share of ``equity``, in money units rounded down; all of it outside a run."""
        share = self.run.capital_share if self.run is not None else WHOLE
        if share == WHOLE:
            return self.equity
        numerator, denominator = share.as_integer_ratio()
        return self.equity * numerator // denominator

    @property
    def free_cash(self) -> int:
        """Cash in money units that no open order has reserved, at all venues together."""
        return self.books.cash - self.books.reserved

    def free_cash_for(self, symbol: str) -> int:
        """Cash in money units that an order in ``symbol`` can use: what is free at its venue."""
        venue = self.books.lines[symbol].venue
        return self.books.cash_at[venue] - self.books.reserved_at[venue]

    def room(self, symbol: str, *, price: int, parts: int = 1) -> Room | None:
        """What cash and limits let ``symbol`` come to at ``price``; None while no limits are in force.

        Of the limit on gross exposure it has one of ``parts`` equal parts at most.
        """
        line, limits = self.books.lines[symbol], self.risk.limits
        if limits is None:
            return None
        free, gross, high = self.free_cash_for(symbol), self.valuation.gross, max(price, line.mark)
        most = largest_position(line, limits, price=high, free=free, gross=gross, parts=parts)
        return Room(most, largest_order(line, limits, price=price))

    @property
    def traded(self) -> tuple[str, ...]:
        """Symbols that the run trades, in the order of the books."""
        return tuple(symbol for symbol, market in self.markets.items() if market.run is self.run is not None)

    def instrument(self, symbol: str) -> Instrument:
        """Filters and conversions of ``symbol``."""
        return self.books.lines[symbol].instrument

    def market(self, symbol: str) -> MarketState:
        """Newest prices of ``symbol``."""
        return self.markets[symbol]

    def position(self, symbol: str) -> int:
        """Whole lots held; a remainder below one lot (dust from fees) is not counted."""
        line = self.books.lines[symbol]
        return int(line.position // line.lot_atoms) if line.position >= 0 else -int(-line.position // line.lot_atoms)

    def open_orders(self, symbol: str) -> Iterable[Order]:
        """Orders of ``symbol`` that may still fill, but for the children of parents, which look after them."""
        return [order for order in self.books.lines[symbol].open.values() if not order.parent_id]

    def busy(self, symbol: str) -> bool:
        """True while any order of ``symbol`` may still fill."""
        return bool(self.books.lines[symbol].open)

    def fresh_forecast(self, symbol: str) -> Forecast | None:
        """Newest forecast, unless it is older than the limits allow."""
        forecast, limits = self.markets[symbol].forecast, self.risk.limits
        if forecast is None or limits is None:
            return None
        fresh = self.now - forecast.as_of <= limits.forecast_max_age_bars * forecast.interval_ns
        return forecast if fresh else None

    # -- what a strategy does

    def order(self, request: OrderRequest) -> str | None:
        """Put the order through the gate; return its client id, or None when it was denied or no run is on.

        A strategy trades the instruments of its run alone: any other may belong to another run.
        """
        market = self.markets.get(request.symbol)
        if self.run is None:
            return None
        side = int(request.side)
        if market is not None:
            market.move = None
        if market is not None and market.denied == side and self.now < market.quiet_until:
            self.suppressed += 1
            return None
        begun = self._clock() if self._clock else 0
        return self._check(request, begun, None)

    def hold(self, request: ConditionalRequest | Oco | Bracket) -> str | None:
        """Hold a conditional order, OCO or bracket; return its id, an OCO's first, or a bracket's entry.

        None when it was refused, or no run is on. ``conditional(id)`` tells how it stands; ``cancel(id)`` ends it.
        """
        return hold(self, request)

    def replace(self, client_id: str, *, price: int, lots: int = 0) -> str | None:
        """Put an open limit order at another price, or for another quantity; return the id of the replacement.

        The new order leaves when the venue has confirmed the end of the old one. None when it was refused.
        """
        return replace(self, client_id, price=price, lots=lots)

    def conditional(self, client_id: str) -> Conditional | None:
        """A conditional order, and how it stands."""
        return self.books.conditionals.all.get(client_id)

    def execute(self, request: ParentRequest) -> str | None:
        """Have a parent order worked by its algorithm while the run lasts; return its id.

        None for no instrument of the run, and in a halt: a strategy goes on asking, so that is not journalled.
        ``parent(id)`` tells how far it is; one that is REFUSED says why there.
        """
        run = self.run
        if run is None or request.symbol not in run.instruments or self.parents.halted(request, run.run_id):
            return None
        return self.parents.start(request, parent_id="", run_id=run.run_id, by=run.strategy) or None

    def parent(self, parent_id: str) -> Parent | None:
        """A parent order, and how far it is."""
        return self.books.parents.get(parent_id)

    def halt_of(self, symbol: str, run_id: str) -> str:
        """Which halt keeps orders of ``symbol`` and the run from leaving until a person resumes; "" when none does."""
        if self.books.state is TradingState.HALTED:
            return f"trading is halted: {self.books.state_reason}"
        place = self.place_of(symbol, run_id)
        held = next((halt for halt in self.risk.ledger.halts.values() if covers(halt.scope, place)), None)
        return "" if held is None else f"{held.scope} is halted: {held.reason}"

    def place_of(self, symbol: str, run_id: str) -> Place:
        """Where orders of ``symbol`` and the run belong; of no strategy where the run is unknown."""
        strategy = self.risk.ledger.runs.get(run_id, "")
        optional = self.limits.optional if self.limits is not None else None
        desks = desks_of(strategy, optional.desks) if optional is not None else frozenset[str]()
        return Place(strategy, desks, self.books.lines[symbol].instrument.venue, symbol)

    def cancel_parent(self, parent_id: str, reason: str) -> None:
        """End a parent order; its open children are being cancelled."""
        self.parents.cancel(parent_id, reason)

    def cancel(self, client_id: str, reason: str) -> None:
        """End a conditional order, or ask for the cancellation of an open one; asking twice does nothing more."""
        order = self.books.orders.get(client_id)
        if order is None:
            self.conditionals.cancel(client_id, reason)
        if order is not None and order.open and not order.cancel_requested:
            self.request_cancel(order, reason)

    def cancel_open(self, symbol: str, reason: str) -> None:
        """Ask for the cancellation of all open orders of ``symbol``."""
        for order in list(self.books.lines[symbol].open.values()):
            self.cancel(order.client_id, reason)

    # -- for the kernel and for what works for strategies

    def place(self, request: OrderRequest, parent: Parent) -> str | None:
        """Put a child of ``parent`` through the gate; return its client id, or None when it was denied."""
        begun = self._clock() if self._clock else 0
        return self._check(request, begun, parent)

    def _check(self, request: OrderRequest, begun: int, parent: Parent | None) -> str | None:
        against: tuple[Reason, ...] = ()
        if parent is not None:
            request = msgspec.structs.replace(request, run_id=parent.run_id)
        elif request.run_id is None and self.run is not None:
            request = msgspec.structs.replace(request, run_id=self.run.run_id)
            if request.symbol not in self.run.instruments:
                against = (Reason.INSTRUMENT_NOT_OF_RUN,)
        name = (request.run_id or "") if parent is None else parent.parent_id
        client_id = client_order_id(name, self.books.epoch, self.books.decisions)
        expires_at, emulated = 0, ""
        features = self.offered(request.symbol)
        if not is_plain(request, features):
            request, expires_at, emulated, unfit = self._terms(request, features)
            against = (*against, *unfit)
        verdict = check(request, client_id, self.risk, self.now)
        if against:
            verdict = Verdict((*verdict.reasons, *against), verdict.inputs)
        if verdict.reasons:
            self._deny(request, client_id, verdict, parent)
            return None
        stages = {"signal": begun - self.entered, "risk": self._clock() - begun} if self._clock else {}
        if expires_at or emulated:
            request = msgspec.structs.replace(request, expires_at=expires_at, emulated=emulated)
        self._send(request, client_id, verdict, stages, parent)
        return client_id

    def offered(self, symbol: str) -> frozenset[Feature]:
        """What the venue of ``symbol`` does natively."""
        others, market = self.config.features_at, self.markets.get(symbol)
        if not others or market is None:
            return self.config.features
        return self.config.features_of(market.line.instrument.venue)

    def _terms(self, request: OrderRequest, features: frozenset[Feature]) -> Terms:
        market = self.markets.get(request.symbol)
        closes_at, touch = 0, 0
        if market is not None:
            closes_at, touch = market.closes_at, market.ask if request.side is Side.BUY else market.bid
        return terms_of(request, features, now=self.now, closes_at=closes_at, touch=touch)

    def record(self, event: JournalEvent) -> None:
        """Put the event into books and journal; what the books refuse is not journalled, so that it can be replayed."""
        touched = self.books.apply(event)
        self.out.append(Journal(event))
        for line in touched:
            self.valuation.refresh(line)
        self.routes.apply(event)
        remember = self._remembered.get(type(event))
        if remember is not None:
            remember(self.risk.ledger, event)

    def request_cancel(self, order: Order, reason: str) -> None:
        """Journal and ask for a cancellation, also of an order that was asked for before."""
        self.record(CancelRequested(ts=self.now, client_id=order.client_id, reason=reason))
        self.out.append(Cancel(order.client_id, order.symbol, order.venue_order_id, reason))

    def _deny(self, request: OrderRequest, client_id: str, verdict: Verdict, parent: Parent | None) -> None:
        market = self.markets.get(request.symbol) if parent is None else None
        if market is not None:
            market.denied = int(request.side)
            market.quiet_until = self.now + self.config.denial_pause_ns
        self.record(
            OrderDenied(
                ts=self.now,
                client_id=client_id,
                run_id=request.run_id or "",
                symbol=request.symbol,
                side=request.side,
                lots=request.lots,
                price=request.price,
                reasons=verdict.reasons,
                inputs=verdict.inputs,
                parent_id=parent.parent_id if parent else "",
                conditional_id=request.conditional_id,
                route=request.route,
            )
        )
        if Reason.REPEATED_EXECUTION_THROTTLE in verdict.reasons:
            self.on_throttle(self.risk.ledger.runs.get(request.run_id or "", ""))

    def _send(
        self,
        request: OrderRequest,
        client_id: str,
        verdict: Verdict,
        stages: dict[str, int],
        parent: Parent | None,
    ) -> None:
        market, forecast = self.markets[request.symbol], request.forecast
        if parent is None:
            market.denied = 0
        intent = OrderIntended(
            ts=self.now,
            client_id=client_id,
            run_id=request.run_id or "",
            symbol=request.symbol,
            side=request.side,
            order_type=request.order_type,
            tif=request.tif,
            lots=request.lots,
            price=request.price,
            reduce_only=request.reduce_only,
            reference=request.trigger or market.reference,
            forecast_id=forecast.forecast_id if forecast else "",
            model_digest=forecast.model_digest if forecast else "",
            limits_version=self.risk.limits.version if self.risk.limits else 0,
            epoch=self.books.epoch,
            decision={**request.decision, "risk": verdict.inputs},
            stages=stages,
            parent_id=parent.parent_id if parent else "",
            child=parent.children + 1 if parent else 0,
            conditional_id=request.conditional_id,
            expires_at=request.expires_at,
            emulated=request.emulated,
            replaces=request.replaces,
            min_lots=request.min_lots,
            route=request.route,
            trigger=request.trigger,
        )
        for leg in request.exits:
            self.record(leg)
        self.record(intent)
        self.risk.note(intent)
        self.out.append(Send(intent, self.now + self.config.send_within_ns))
        # The gate has seen to it that an order alone fits into the position.
        if intent.expires_at or len(market.line.open) > 1:
            self.conditionals.on_intent(intent)
