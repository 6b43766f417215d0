"""Works parent orders: decides which child goes next, when one is moved, and when a parent is over.

One child of a parent is open at a time, and none is sent while the fate of another is unknown, so that what is done
and what may still fill never add up to more than the parent. Everything that must outlive a restart is in the books;
what is kept here is only what was seen of the market, and is seen anew.

A parent waits while the desk is not ready: not ACTIVE, books not reconciled, feed not LIVE, no quote, no limits. A
denial by the gate, a rejection or a child that came to nothing pauses it, each time longer, with the reason in sight.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from workers.engine import events as e
from workers.engine.accounting.parents import parent_of
from workers.engine.config import SECOND_NS
from workers.engine.execution import routed
from workers.engine.execution.algorithms import Algorithm, AlgorithmError, build
from workers.engine.execution.closing import closable, displaced, reducible
from workers.engine.execution.orders import Order
from workers.engine.execution.parent import Parent, ParentRequest, ParentStatus, parent_id_of
from workers.engine.execution.plan import Placement
from workers.engine.execution.progress import Progress
from workers.engine.execution.routing.view import Slice
from workers.engine.execution.tactic import Quote, child_lots, cross, least_lots, left_behind, wait
from workers.engine.execution.volume import Tape, VolumeCurve
from workers.engine.market_state import MarketState
from workers.engine.portfolio.plan import largest_order
from workers.engine.risk.gate import OrderRequest
from workers.engine.risk.limits import Limits
from workers.engine.vocabulary import FeedState, OrderStatus, TimeInForce, TradingState

if TYPE_CHECKING:
    from workers.engine.desk import Desk

LATEST_START_NS: Final = 60 * SECOND_NS
"""A parent that could not begin for so long is refused: its schedule was made for another market."""
RESTING: Final = (OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED)


class _Work(NamedTuple):
    algorithm: Algorithm[Any]
    progress: Progress


class Parents:
    """One per desk. ``working`` parents are looked at whenever something happens that may concern them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._works: dict[str, _Work] = {}
        self._tapes: dict[str, Tape] = {}
        self._looking = False
        self.curves: MutableMapping[str, VolumeCurve] = {}
        """Usual volume by symbol, learned by the host; a ``vwap`` that brings no curve of its own takes this one."""

    # -- what is asked for

    def start(self, request: ParentRequest, *, parent_id: str, run_id: str, by: str, cancelled: str = "") -> str:
        """Take a parent on; return its id, or "" for an instrument that is not here. The same id again does nothing.

        A request that cannot be worked is journalled as a parent that is REFUSED, with what is wrong in words.
        """
        books, now = self._desk.books, self._desk.now
        if request.symbol not in books.lines:
            return ""
        parent_id = parent_id or parent_id_of(run_id, books.epoch, len(books.parents))
        if parent_id in books.parents:
            return parent_id
        params = dict(request.params)
        if request.algorithm == "vwap" and "curve" not in params and request.symbol in self.curves:
            curve = self.curves[request.symbol]
            params["curve"] = {"bin_ns": curve.bin_ns, "weights": list(curve.weights)}
        event = e.ParentStarted(
            ts=now,
            parent_id=parent_id,
            run_id=run_id,
            by=by,
            symbol=request.symbol,
            side=request.side,
            lots=request.lots,
            algorithm=request.algorithm,
            params=params,
            start=request.start or now,
            end=request.end,
            limit_price=request.limit_price,
            reduce_only=request.reduce_only,
            seed=request.seed,
            route=request.route,
            displaces=request.displaces,
            arrival=self._desk.markets[request.symbol].reference,
        )
        problem = cancelled or self._problem(parent_of(event))
        self._desk.record(msgspec.structs.replace(event, refused=problem))
        if problem:
            status = ParentStatus.CANCELED if cancelled else ParentStatus.REFUSED
            self._end(books.parents[parent_id], status, problem)
        else:
            self._look(books.parents[parent_id])
        return parent_id

    def cancel(self, parent_id: str, reason: str) -> None:
        """End the parent: nothing more is sent from this moment on, and open children are being cancelled."""
        parent = self._desk.books.working.get(parent_id)
        if parent is not None and parent.status is ParentStatus.ACTIVE:
            self._desk.record(e.ParentCancelRequested(ts=self._desk.now, parent_id=parent_id, reason=reason))
            self._look(parent)

    def cancel_all(self, reason: str, *, run_id: str | None = None) -> None:
        """End every parent, or those of one run."""
        for parent in list(self._desk.books.working.values()):
            if run_id is None or parent.run_id == run_id:
                self.cancel(parent.parent_id, reason)

    def why(self, parent_id: str) -> str:
        """What keeps the parent from going on at present; empty when nothing does."""
        work = self._works.get(parent_id)
        return work.progress.why if work else ""

    def released(self, parent: Parent) -> int:
        """Lots that the schedule has released by now."""
        work = self._works.get(parent.parent_id)
        return work.algorithm.released(self._desk.now, work.progress) if work else parent.filled

    def open_lots(self, parent: Parent) -> int:
        """Lots of the parent that may still fill."""
        return routed.open_lots(self._desk, parent)

    # -- what happens

    def on_time(self) -> None:
        """Time passed: look at all, and at what the market made of fills."""
        if self._desk.books.markouts.waiting:
            self._measure()
        for parent in list(self._desk.books.working.values()):
            self._look(parent)

    def on_market(self, symbol: str) -> None:
        """The market of ``symbol`` moved."""
        for parent in list(self._desk.books.working.values()):
            if parent.symbol == symbol or (parent.route and self._akin(parent.symbol, symbol)):
                self._look(parent)

    def on_trade(self, trade: e.Trade) -> None:
        """Somebody traded."""
        tape = self._tapes.get(trade.symbol)
        if tape is not None:
            tape.by_trades = True
            tape.add(self._desk.now, trade.lots, trade.price)
            self.on_market(trade.symbol)

    def on_bar(self, bar: e.Bar) -> None:
        """A bar closed."""
        tape = self._tapes.get(bar.symbol)
        if tape is not None:
            tape.add_bar(self._desk.now, bar)
        self.on_market(bar.symbol)

    def on_child(self, order: Order) -> None:
        """The venue said something of a child, or it was found never to have left."""
        parent = self._desk.books.working.get(order.parent_id)
        if parent is not None:
            self._look(parent)

    def due_after(self, now: int) -> int:
        """The next moment that some parent waits for: its begin, finish or end, or the end of a pause; 0 for none."""
        moments: list[int] = []
        for parent in self._desk.books.working.values():
            work = self._works.get(parent.parent_id)
            finish = work.algorithm.finish_at if work is not None else 0
            moments += [parent.start, parent.end, parent.quiet_until, finish]
        return min((moment for moment in moments if moment > now), default=0)

    # -- inside

    def _measure(self) -> None:
        """Look at the market after fills; journal a parent's mark-outs when all of its fills were looked at."""
        desk = self._desk
        for marked in desk.books.markouts.due(desk.now, desk.markets):
            desk.record(marked)
        for parent_id, found in desk.books.markouts.done():
            desk.record(e.ParentMeasured(ts=desk.now, parent_id=parent_id, markouts=found))

    @property
    def busy(self) -> bool:
        """True while any parent is worked, or fills of one are still to be looked at."""
        return bool(self._desk.books.working or self._desk.books.markouts.waiting)

    def halted(self, wanted: Parent | ParentRequest, run_id: str) -> str:
        """Which halt keeps a parent from being taken on, in words; empty when none does.

        What comes during a halt must not wait for its end: whoever resumes would set free what he never saw.
        """
        halt = self._desk.halt_of(wanted.symbol, run_id)
        if halt or self._desk.books.state is not TradingState.REDUCING or wanted.reduce_only:
            return halt
        return "trading only reduces positions" if wanted.lots > closable(self._desk, wanted) else ""

    def _problem(self, parent: Parent) -> str:
        """Why the parent cannot be worked at all; empty when it can."""
        if halt := self.halted(parent, parent.run_id):
            return f"{halt}; ask again when it may trade"
        try:
            self._check(parent)
        except AlgorithmError as error:
            return str(error)
        return ""

    def _check(self, parent: Parent) -> None:
        now = self._desk.now
        if parent.lots <= 0:
            raise AlgorithmError(f"expected more than 0 lots, was {parent.lots}")
        if parent.limit_price < 0:
            raise AlgorithmError(f"expected a limit price of 0 or more, was {parent.limit_price} ticks")
        if now - parent.start > LATEST_START_NS:
            late = (now - parent.start) / SECOND_NS
            raise AlgorithmError(f"it was to begin {late:.0f} s ago, for a market that is gone; ask anew")
        if parent.end and parent.end <= max(parent.start, now):
            raise AlgorithmError(f"expected an end after its start and after now, was {parent.end} ns")
        build(parent)

    def _work(self, parent: Parent, market: MarketState) -> _Work:
        work = self._works.get(parent.parent_id)
        if work is None:
            now = self._desk.now
            tape = self._tapes.setdefault(parent.symbol, Tape(now))
            committed = parent.filled + self.open_lots(parent)
            work = _Work(build(parent), Progress(parent, market, tape, now=now, lots_before=committed))
            self._works[parent.parent_id] = work
        return work

    def _look(self, parent: Parent) -> None:
        """Do what the parent needs now. A look that a look itself brings about waits for the next event."""
        if self._looking or not parent.status.is_live:
            return
        self._looking = True
        try:
            self._step(parent, self._desk.markets[parent.symbol])
        finally:
            self._looking = False

    def _step(self, parent: Parent, market: MarketState) -> None:
        now = self._desk.now
        try:
            algorithm, progress = self._work(parent, market)
        except AlgorithmError as error:
            # The journal is of a version that knew more algorithms than this one.
            self._wind_up(parent, str(error))
            return
        if parent.status is ParentStatus.CANCELLING or not parent.remaining or (parent.end and now >= parent.end):
            self._wind_up(parent, progress.why)
            return
        progress.observe(now)
        self._trim(parent)
        if now < parent.start:
            progress.why = "not begun"
            progress.before_start()
            return
        limits = self._desk.risk.limits
        progress.why = self._desk_not_ready(parent)
        if progress.why or limits is None:
            return
        unseen = self._not_ready(market)
        quote = Quote(parent.side, market.bid, market.ask, parent.limit_price)
        if parent.route and not self._route(parent, algorithm, progress, limits, waits=bool(unseen) or quote.reachable):
            progress.why = progress.why or unseen
            return
        progress.why = unseen
        if unseen:
            return
        if parent.open:
            self._tend(parent, algorithm, progress, quote, limits)
        elif now < parent.quiet_until:
            progress.why = parent.detail
        else:
            self._next(parent, algorithm, progress, quote, limits)

    def _trim(self, parent: Parent) -> None:
        """Take off what would be too much, when a venue filled an order that it had called over."""
        if parent.filled + self.open_lots(parent) > parent.lots:
            for client_id in list(parent.open):
                self._desk.cancel(client_id, "another child was filled after its end")

    def _akin(self, symbol: str, other: str) -> bool:
        """True for two instruments of one pair."""
        one, two = self._desk.instrument(symbol), self._desk.instrument(other)
        return (one.base, one.quote) == (two.base, two.quote)

    def _route(
        self, parent: Parent, algorithm: Algorithm[Any], progress: Progress, limits: Limits, *, waits: bool
    ) -> bool:
        """Route what is due; True when the parent may rest at its own market as one that is not routed does.

        What rests there is taken off first when it is late, so that one lot is never offered twice. What is due and
        found no place ``waits`` for the venues that were left out, where the price is within reach.
        """
        desk, now = self._desk, self._desk.now
        legs = routed.open_lots(desk, parent, legs_only=True)
        resting = self.open_lots(parent) - legs
        if routed.pinging(desk, parent):
            progress.why = "waiting for the dark venue's answer"
            return False
        lots = 0
        if algorithm.due(now, progress) > parent.filled + legs:
            lots = self._due_lots(parent, algorithm, progress, legs)
        # All runs are of bars of one interval.
        sigma = progress.sigma(next((run.interval_ns for run in desk.books.runs.values()), 0))
        wanted = Slice(parent, lots, sigma, limits, algorithm.params.offset_ticks)
        if lots and resting and routed.offered(desk, wanted):
            for client_id in list(parent.open):
                if not desk.books.orders[client_id].route:
                    desk.cancel(client_id, "behind the schedule")
            return False
        if lots and not resting:
            progress.why = routed.route(desk, wanted)
        left = parent.remaining
        if not parent.open and left < (least := routed.least_anywhere(desk, parent)):
            self._end(parent, ParentStatus.EXPIRED, f"{left} lots left, and no venue takes an order below {least}")
            return False
        if routed.open_lots(desk, parent, legs_only=True):
            return False
        return algorithm.params.style != "take" and (bool(resting) or not lots or not waits)

    def _due_lots(self, parent: Parent, algorithm: Algorithm[Any], progress: Progress, legs: int) -> int:
        """Lots to route now, 0 for none yet: ``legs`` are on their way already."""
        least = routed.least_anywhere(self._desk, parent)
        wanted = max(least, min(algorithm.least(), parent.remaining))
        return child_lots(
            deficit=algorithm.released(self._desk.now, progress) - parent.filled - legs,
            remaining=parent.remaining - legs,
            least=least if algorithm.finishing(self._desk.now) else wanted,
            most=parent.lots,
            display=algorithm.display(),
        )

    def _desk_not_ready(self, parent: Parent) -> str:
        desk = self._desk
        if desk.books.state is TradingState.HALTED:
            return "trading is halted"
        if desk.risk.limits is None or desk.now > desk.risk.limits_until:
            return "no risk limits are in force and confirmed"
        if parent.displaces and displaced(desk, parent):
            return "other orders on its lots are being cancelled first"
        return ""

    def _not_ready(self, market: MarketState) -> str:
        """What keeps orders from the parent's own market."""
        if market.line.venue not in self._desk.risk.reconciled_at:
            return "the books are not reconciled with the venue's"
        if market.feed is not FeedState.LIVE or not market.bid or not market.ask:
            return f"the market is not seen: its feed is {market.feed.value}"
        return "the outcome of an earlier order is not known yet" if market.line.unknown else ""

    def _tend(
        self, parent: Parent, algorithm: Algorithm[Any], progress: Progress, quote: Quote, limits: Limits
    ) -> None:
        """Leave the open child, or take it off: it fell behind the schedule, or the market left it."""
        now = self._desk.now
        for client_id in list(parent.open):
            order = self._desk.books.orders[client_id]
            progress.why = "resting at the market" if order.tif is TimeInForce.GTC else ""
            if order.cancel_requested or order.status not in RESTING or order.tif is not TimeInForce.GTC:
                continue
            late = not parent.route and algorithm.due(now, progress) > parent.filled and quote.reachable
            if late and self._size(parent, algorithm, progress, cross(quote, 0).price, limits):
                self._desk.cancel(client_id, "behind the schedule")
            elif (
                now - order.created >= algorithm.params.reprice_s * 1e9
                and left_behind(quote, order.price)
                and order.remaining >= least_lots(self._desk.instrument(parent.symbol), quote.bid)
            ):
                self._desk.cancel(client_id, "the market moved on")

    def _next(
        self, parent: Parent, algorithm: Algorithm[Any], progress: Progress, quote: Quote, limits: Limits
    ) -> None:
        """Send the next child, if one is released, large enough, and within the limit price."""
        if quote.beyond:
            progress.why = "the market is beyond the limit price"
            return
        late = algorithm.due(self._desk.now, progress) > parent.filled
        iceberg = bool(algorithm.display())
        if late and quote.reachable and not parent.route:
            placed = cross(quote, algorithm.params.offset_ticks)
        else:
            placed = wait(quote, at_limit=iceberg)
        least = least_lots(self._desk.instrument(parent.symbol), placed.price)
        held = reducible(self._desk, parent) if parent.reduce_only else parent.remaining
        if min(parent.remaining, held) < least and not parent.route:
            what = f"{parent.remaining} lots left" + (f", and {held} in the position" if parent.reduce_only else "")
            self._end(parent, ParentStatus.EXPIRED, f"{what}: the venue takes no order below {least}")
            return
        lots = self._size(parent, algorithm, progress, placed.price, limits)
        if lots:
            self._send(parent, placed, lots, progress)
        else:
            progress.why = "waiting for the schedule"

    def _size(self, parent: Parent, algorithm: Algorithm[Any], progress: Progress, price: int, limits: Limits) -> int:
        """Lots of the next child at ``price``, 0 for none."""
        line = self._desk.books.lines[parent.symbol]
        released = algorithm.released(self._desk.now, progress)
        least = least_lots(line.instrument, price)
        wanted = max(least, min(algorithm.least(), parent.remaining))
        remaining = parent.remaining
        if parent.reduce_only and not parent.route:
            remaining = min(remaining, reducible(self._desk, parent, unclaimed=True))
        return child_lots(
            deficit=released - parent.filled,
            remaining=remaining,
            least=least if algorithm.finishing(self._desk.now) else wanted,
            most=largest_order(line, limits, price=price),
            display=algorithm.display(),
        )

    def _send(self, parent: Parent, placed: Placement, lots: int, progress: Progress) -> None:
        request = OrderRequest(
            symbol=parent.symbol,
            side=parent.side,
            lots=lots,
            price=placed.price,
            order_type=placed.order_type,
            tif=placed.tif,
            reduce_only=parent.reduce_only,
            decision={
                "why": "parent",
                "parent": parent.parent_id,
                "filled": parent.filled,
                "released": self.released(parent),
                "volume": progress.volume(self._desk.now),
            },
        )
        if self._desk.place(request, parent) is None:
            progress.why = parent.detail

    def _wind_up(self, parent: Parent, why: str) -> None:
        """Cancel what is open; end when nothing is."""
        for client_id in parent.open:
            self._desk.cancel(client_id, parent.detail or "the parent is over")
        if parent.open:
            return
        if not parent.remaining:
            over = parent.filled - parent.lots
            self._end(parent, ParentStatus.FILLED, f"overfilled by {over} lots" if over else "")
        elif parent.status is ParentStatus.CANCELLING:
            self._end(parent, ParentStatus.CANCELED, parent.detail)
        else:
            why = why or "not enough was offered within the price"
            self._end(parent, ParentStatus.EXPIRED, f"{parent.remaining} lots left: {why}")

    def _end(self, parent: Parent, status: ParentStatus, detail: str) -> None:
        work = self._works.pop(parent.parent_id, None)
        self._desk.record(
            e.ParentEnded(
                ts=self._desk.now,
                parent_id=parent.parent_id,
                status=status,
                detail=detail,
                mid=self._desk.markets[parent.symbol].reference,
                volume=work.progress.volume(self._desk.now) if work else 0,
                turnover=work.progress.turnover() if work else 0,
            )
        )
        if not any(other.symbol == parent.symbol for other in self._desk.books.working.values()):
            self._tapes.pop(parent.symbol, None)
